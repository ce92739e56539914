"""Options, progress and results that all `train` commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from music_reclass.cli.output import complain, plain, say

if TYPE_CHECKING:
    from music_reclass.models.base import Estimator
    from music_reclass.models.dataset import Augmentations, Dataset
    from music_reclass.taxonomy import Taxonomy

Command = TypeVar("Command", bound=Callable[..., Any])
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False)
_CHECKPOINTS = ".unfinished"


def common_flags(command: Command) -> Command:
    """--set-default, --seed, --target-precision, --out, --views, --table."""
    for flag in (
        click.option("--set-default", is_flag=True, help="Use it for every scan: written into the configuration file."),
        click.option("--seed", type=int, default=0, show_default=True, help="Equal seeds give equal bundles."),
        click.option(
            "--target-precision",
            type=click.FloatRange(0.5, 0.999),
            help="Precision to certify among `confident` decisions (`likely` may err twice as often); what cannot be "
            "certified is then never decided.",
        ),
        click.option(
            "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the bundle."
        ),
        click.option("--views", type=EXISTING_FILE, help="Degraded views of the table's rows (.npz), to train on too."),
        click.option("--table", type=EXISTING_FILE, help="Short for --on table --data FILE.npz."),
    ):
        command = flag(command)
    return command


def with_views(
    data: Dataset, views: Augmentations | None, words: dict[str, Any], taxonomy: Taxonomy
) -> Augmentations | None:
    """The views that the words name; UsageError where they cannot be had, or where a genre of the data is unknown."""
    from music_reclass.errors import UsageError
    from music_reclass.models import dataset as tables
    from music_reclass.models.vocabulary import require_known

    require_known(data.table.classes, taxonomy)
    if words["views"] is None:
        return views
    if words["kind"] != "table":
        raise UsageError("--views belong to the rows of a table (--table FILE.npz).")
    return tables.read_augmentations(words["views"], data.table)


def network(size: str, seed: int, device: str, epochs: int | None, out: Path, live: Live) -> Estimator:
    """The `small` networks, or the `wide` one whose checkpoints lie below `out`."""
    if size == "small":
        from music_reclass.models import mlp as small

        return small.MlpEnsemble(seed, epochs=epochs)
    from dataclasses import replace

    from music_reclass.models import mlp_torch as wide

    recipe_wide = wide.TorchRecipe() if epochs is None else replace(wide.TorchRecipe(), epochs=epochs)
    return wide.TorchMlp(seed, recipe_wide, device, out / _CHECKPOINTS, live.passing)


def clear(out: Path) -> None:
    """Take away what an interrupted training would have gone on from."""
    import shutil

    shutil.rmtree(out / _CHECKPOINTS, ignore_errors=True)


def finish(words: dict[str, Any], use: str) -> None:
    """Make what was trained the default if that was asked for, else say how it is used."""
    from music_reclass.config import default_file

    if words["set_default"]:
        from music_reclass.config import remember

        file = words["config_file"] or default_file()
        remember(file, "bundle", str(words["out"].resolve()))
        say("default", f"{file} names it: the next scan uses it")
    else:
        plain(use)


class Live:
    """Progress on stderr: lines that stay, and on a terminal one line that changes."""

    def __init__(self) -> None:
        self._open = False

    def line(self, text: str) -> None:
        """A line that stays."""
        self.end()
        complain(text)

    def passing(self, text: str) -> None:
        """What the changing line says now; nothing where nobody watches."""
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)
            self._open = True

    def end(self) -> None:
        """Clear the changing line."""
        if self._open:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._open = False
