"""Options, progress and results that all `train` commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.data import FIRST, data_flags, open_data
from music_reclass.cli.options import Choice, setting_flags
from music_reclass.cli.output import (
    check_output,
    confirm,
    interactive,
    plain,
    printable,
    say,
    shorten_home,
    write_file,
)

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.models.base import Estimator
    from music_reclass.models.dataset import Dataset
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.training.open import DatasetRequest
    from music_reclass.training.train import Trained

FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What the flags of a `train` command say; those that a command does not have keep their defaults."""

    request: DatasetRequest
    settings: Settings
    config_file: Path | None
    table: Path | None
    augmentations: Path | None
    out: Path | None
    target_precision: float | None
    seed: int
    set_default: bool
    yes: bool = False
    device: str = "cpu"
    epochs: int | None = None
    columns: tuple[str, ...] = ()
    ensemble: bool = False
    from_library: bool = False
    augment: str | None = None
    html: Path | None = None
    force: bool = False
    stages: str = "auto"
    epsilon: float = 0.02
    delta: float = 0.1

    def data_request(self, kinds: tuple[str, ...] = (FIRST,)) -> DatasetRequest:
        """The data set that the flags name, with the vectors of `kinds`: --table and --from-library count more than
        --on."""
        request = replace(self.request, kinds=kinds, augmentations=_augmentations(self.augment), seed=self.seed)
        if self.from_library:
            return replace(request, form="library")
        return request if self.table is None else replace(request, form="table", path=self.table)

    def folder(self, name: str) -> Path:
        """Where the bundle goes: --out, else the folder `name` among the user's bundles."""
        if self.out is not None:
            return self.out
        from music_reclass.models.bundle import trained_folder

        return trained_folder() / name


def _augmentations(named: str | None) -> tuple[str, ...]:
    """The names given with --augment, each known and once; () without."""
    if not named:
        return ()
    from music_reclass.errors import UsageError
    from music_reclass.training.augment import AUGMENTATIONS

    names = tuple(AUGMENTATIONS) if named == "all" else tuple(dict.fromkeys(n.strip() for n in named.split(",")))
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        known = ", ".join(AUGMENTATIONS)
        raise UsageError(f"There is no augmentation {unknown[0]!r}; choose among {known}, or all.")
    return names


def common_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """--set-default, --seed, --target-precision, --out, --yes, --augmentations, --table; flags of data and database."""
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
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder for the bundle (default: one for these stages in your data folder; training again replaces "
            "what is in it).",
        ),
        click.option("-y", "--yes", is_flag=True, help="Extract vectors for hours without asking."),
        click.option(
            "--augmentations",
            "--views",
            type=FILE,
            help="Changed versions of the table's rows (.npz), to train on too.",
        ),
        click.option("--table", type=FILE, help="Short for --on table --data FILE.npz."),
        data_flags,
        setting_flags("jobs", "wait", with_file=True),
    ):
        command = flag(command)
    return command


def training_data(options: TrainOptions, taxonomy: Taxonomy, kinds: tuple[str, ...] = (FIRST,)) -> Dataset:
    """The data that the flags name, with augmentations where these are asked for; UsageError where they cannot be had,
    or where a genre of the data is unknown."""
    from music_reclass.errors import UsageError
    from music_reclass.models.dataset import read_augmentations
    from music_reclass.models.vocabulary import require_known
    from music_reclass.training.open import sampled

    if options.html is not None:  # said before the training, not after it
        check_output(options.html, force=options.force)
    request = options.data_request(kinds)
    whole = request if options.augmentations is None else replace(request, sample=None)
    data = open_data(whole, taxonomy, options.settings, ask=lambda question: options.yes or _agreed(question))
    require_known(data.table.classes, taxonomy)
    if options.augmentations is not None:
        if request.form != "table":
            raise UsageError("--augmentations belong to the rows of a table (--table FILE.npz).")
        # They are of all rows of the table, in its order.
        data = sampled(data.with_augmentations(read_augmentations(options.augmentations, data.table)), request)
    return data


def _agreed(question: str) -> bool:
    """What somebody at the terminal answers; yes where nobody is there, who has asked for it already."""
    return not interactive() or confirm(question, Choice(), default=True)


def networks(options: TrainOptions, data: Dataset) -> Estimator:
    """The networks for as many rows and columns as `data` has."""
    from music_reclass.models.mlp import mlp_estimator, recipe_for

    return mlp_estimator(options.seed, recipe_for(data.table.columns, len(data)), epochs=options.epochs)


def trees(options: TrainOptions) -> Estimator:
    """Gradient-boosted trees, by XGBoost where it is installed or the flags name a GPU. MissingExtra."""
    from music_reclass.models import trees

    card = options.device.split(",")[0]  # trees take one card
    device = card if card.startswith("cuda") else "cpu"
    learner = trees.learner_for(device)
    trees.check_learner(learner)
    return trees.trees_estimator(options.seed, learner, device=device)


def save_stage(result: Trained, options: TrainOptions) -> None:
    """Write the bundle of a stage and print what it reaches; make it the default if that was asked for."""
    from music_reclass.cli.eval import show
    from music_reclass.models.bundle import save
    from music_reclass.report.evaluation_page import page
    from music_reclass.training.train import guarantee_lines

    bundle, folder = result.bundle, options.folder(result.bundle.name)
    save(bundle, folder)
    show(result.evaluation)
    for word, text in guarantee_lines(bundle):
        say(word, text)
    for note in result.notes:
        say("note", note)
    if options.html is not None:
        write_file(options.html, page(result.evaluation), force=options.force)
    say("bundle", f"{printable(str(folder))}  ({bundle.name} {bundle.version}, {bundle.digest[:12]})")
    finish(options, folder)


def finish(options: TrainOptions, folder: Path) -> None:
    """Make what was trained into `folder` the default if that was asked for, else print how it is used."""
    import shlex

    from music_reclass.config import default_file, remember

    file = options.config_file or default_file()
    if options.set_default:
        remember(file, "bundle", str(folder.resolve()))
        say("default", f"{printable(str(file))} names it: the next scan uses it")
        return
    named = printable(shlex.quote(str(folder)))
    plain(f"use it: reclass scan --bundle {named} PATH, or reclass predict --table FILE.npz --bundle {named}")
    line = f"bundle = {json.dumps(str(folder.resolve()))}"
    plain(
        printable(f"for every scan, put this line into {shorten_home(str(file))} (or train with --set-default): {line}")
    )
