"""Options, progress and results that all `train` commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from music_reclass.cli.output import plain, say

if TYPE_CHECKING:
    from music_reclass.models.dataset import Augmentations, Dataset
    from music_reclass.taxonomy import Taxonomy

Command = TypeVar("Command", bound=Callable[..., Any])
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False)


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
