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
EXISTING = click.Path(path_type=Path)


def data_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """--on, --data, --subset, --excerpt, --audio, --least and --roots, which the command gets as `request`."""

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
        **flags: Any,
    ) -> Any:
        from music_reclass.training.open import DatasetRequest

        request = DatasetRequest(form, data_path, subset, excerpt, audio, least, roots)
        return command(request=request, **flags)

    wrapped: Callable[..., Any] = with_request
    for flag in (
        click.option("--roots", is_flag=True, help="Count every genre as its root (Metal as Rock)."),
        click.option(
            "--least",
            type=click.IntRange(1),
            default=20,
            show_default=True,
            help="Tracks that a genre of your tags needs to be a class; with fewer they count as its parent genre.",
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
    ):
        wrapped = flag(wrapped)
    return wrapped


def open_data(request: DatasetRequest, taxonomy: Taxonomy, settings: Settings) -> Dataset:
    """The data set of `request`; the first Ctrl-C while audio is extracted stops in order, and nothing is lost."""
    from music_reclass.training.open import open_dataset
    from music_reclass.utils.progress import orderly_stop

    with orderly_stop() as stop:
        return open_dataset(request, taxonomy, settings, stop)
