"""The flags that name labelled data, for `train` and `eval`, and the data set that they name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.models.dataset import Dataset
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.training.open import DatasetRequest

FORMS = ("table", "fma", "fma-audio", "gtzan", "folder", "csv", "jamendo", "library")
FIRST = "fma518"
LATER = ("efficientat", "efficientat-mn10", "musicnn", "discogs", "mert", "mert-330m", "jmla")  # in the cascade's order
EXISTING = click.Path(path_type=Path)


_DATA_FLAGS = (  # the last one is the first of the help
    click.option(
        "--max-time",
        metavar="TIME",
        help="How long vectors that are not stored may be extracted: 90m, 2h, 1h30m, 45s. Then it goes on with the "
        "tracks that have theirs, if these are enough; the same command extracts the others.",
    ),
    click.option(
        "--sample",
        type=click.IntRange(1),
        metavar="N",
        help="At most N tracks, spread over genres (shares grow with the square root of their tracks) and artists; "
        "drawn before anything is extracted.",
    ),
    click.option("--roots", is_flag=True, help="Count every genre as its root (Metal as Rock)."),
    click.option(
        "--least",
        type=click.IntRange(1),
        default=20,
        show_default=True,
        help="Tracks that a genre of your tags needs to be a class; with fewer they count as its parent genre; in "
        "a small --sample one in 50, but at least 5.",
    ),
    click.option("--audio", type=EXISTING, help="Where MTG-Jamendo's audio lies, if not beside its list."),
    click.option(
        "--excerpt",
        type=click.Choice(["mid30", "full"]),
        default="mid30",
        show_default=True,
        help="The part of each file that features are extracted from: the middle 30 s, or all.",
    ),
    click.option(
        "--subset",
        type=click.Choice(["small", "medium", "large", "full"]),
        default="large",
        show_default=True,
        help="How much of FMA: this subset and those within it.",
    ),
    click.option("--data", "data_path", type=EXISTING, help="File or folder of the data."),
    click.option(
        "--on", "form", type=click.Choice(FORMS), default="table", show_default=True, help="What the data are."
    ),
)


def data_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """--on, --data, --subset, --excerpt, --audio, --least, --roots, --sample and --max-time, which the command gets as
    `request`."""

    @functools.wraps(command)
    def with_request(
        *,
        form: str,
        data_path: Path | None,
        subset: str,
        excerpt: str,
        audio: Path | None,
        least: int,
        roots: bool,
        sample: int | None,
        max_time: str | None,
        **flags: Any,
    ) -> Any:
        from music_reclass.config import seconds_of
        from music_reclass.training.open import DatasetRequest

        seconds = seconds_of(max_time) if max_time else None
        request = DatasetRequest(
            form, data_path, subset, excerpt, audio, least, roots, sample=sample, seconds=seconds, seed=flags["seed"]
        )
        return command(request=request, **flags)

    wrapped: Callable[..., Any] = with_request
    for flag in _DATA_FLAGS:
        wrapped = flag(wrapped)
    return wrapped


def open_data(
    request: DatasetRequest, taxonomy: Taxonomy, settings: Settings, *, ask: Callable[[str], bool] = lambda text: True
) -> Dataset:
    """The data set of `request`; the first Ctrl-C while audio is extracted stops in order, and nothing is lost.

    `ask` answers whether to go on where extraction will take long.
    """
    from music_reclass.cli.options import command_line
    from music_reclass.cli.output import complain, printable
    from music_reclass.errors import NothingToDo
    from music_reclass.training.open import open_dataset
    from music_reclass.utils.progress import orderly_stop

    def log(text: str) -> None:
        complain(printable(text))

    with orderly_stop() as stop:
        try:
            return open_dataset(request, taxonomy, settings, stop, log=log, ask=ask, again=command_line())
        except NothingToDo as error:
            if not stop:
                raise
            log(str(error))
            raise click.exceptions.Exit(130) from None
