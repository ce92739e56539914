"""Which tags are most likely wrong: `audit` lists them, best evidence first, and hands them to plan, write and undo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import Choice, choice_flags, setting_flags
from music_reclass.cli.output import complain, plain, print_json, printable, say, shorten_home

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.features.database import Database
    from music_reclass.models.dataset import Dataset
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.training.label_issues import LabelIssues


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--least",
    type=click.FloatRange(0.05, 0.99),
    default=0.5,
    show_default=True,
    help="List a tag from this probability of being wrong.",
)
@click.option("--most", type=click.IntRange(1), help="List at most this many tracks, the surest first.")
@click.option("--fix", is_flag=True, help="Write the suggested genres: shown, asked about and undone like any write.")
@click.option("--seed", type=int, default=0, show_default=True, help="For the folds and the model.")
@setting_flags()
@choice_flags
def audit(
    *,
    paths: tuple[Path, ...],
    least: float,
    most: int | None,
    fix: bool,
    seed: int,
    settings: Settings,
    choice: Choice,
) -> int:
    """Genre tags that are most likely wrong, below PATHS or in the whole library; no audio is read.

    Every tag is judged by models that never saw its artist: one trained on your other tags, and the embedded one.
    """
    import numpy as np

    from music_reclass.cli.session import reading
    from music_reclass.taxonomy import load

    taxonomy = load(settings.taxonomy)
    with reading(settings) as database:
        data, issues = _judged(database, taxonomy, seed)
    folders = [os.path.realpath(path) for path in paths]
    rows = [int(row) for row in issues.suspects(least) if _below(data.names[row], folders)][:most]
    listed = [_as_json(data, issues, row, taxonomy) for row in rows]
    if fix:
        return _fix(settings, {row["path"]: row for row in listed if row["suggested"]}, least, choice)
    expected = issues.expected_precision(np.array(rows, dtype=np.int64))
    if choice.as_json:
        for row in listed:
            print_json({**row, "expected_precision": round(expected, 4)})
        return 0
    for note in data.table.notes:
        say("note", note)
    share = f"; about {expected:.0%} of these are expected to be wrong" if listed else ""
    say("audit", f"{len(data):,} tagged tracks, about {issues.rate:.1%} wrong; listed: {len(listed):,}{share}")
    _show(listed)
    return 0


def _judged(database: Database, taxonomy: Taxonomy, seed: int) -> tuple[Dataset, LabelIssues]:
    """The tagged tracks of the library, and how likely each tag is wrong; NothingToDo where they are too few."""
    from music_reclass.errors import NothingToDo
    from music_reclass.models.bundle import embedded
    from music_reclass.models.dataset import to_dataset
    from music_reclass.training import library
    from music_reclass.training.label_issues import library_label_issues
    from music_reclass.training.open import LEAST

    bundle = embedded()  # not the user's bundle, which may have been trained on these very tags
    raw = library.read(database, bundle.kinds[0])
    data = to_dataset(raw, taxonomy, min(LEAST, max(2, len(raw.names) // 20)))
    if len(data.table.classes) < 2 or len(data) < 20:
        raise NothingToDo(
            f"{len(data)} tagged tracks in {len(data.table.classes)} genres are too few to tell a wrong tag from a "
            "right one."
        )
    return data, library_label_issues(data, bundle, taxonomy, seed=seed, log=complain)


def _below(path: str, folders: list[str]) -> bool:
    return not folders or any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _as_json(data: Dataset, issues: LabelIssues, row: int, taxonomy: Taxonomy) -> dict[str, Any]:
    classes = data.table.classes
    return {
        "path": data.names[row],
        "tagged": [name for name, carried in zip(classes, data.table.labels[row], strict=True) if carried],
        "suggested": taxonomy.written(classes[issues.suggested[row]]),
        "wrong": round(float(issues.wrong[row]), 4),
        "chance": round(float(issues.chance[row]), 4),
    }


def _show(listed: list[dict[str, Any]]) -> None:
    """The list for people, by album."""
    from music_reclass.training.label_issues import grouped_by_folder

    for album in grouped_by_folder([row["path"] for row in listed], range(len(listed))):
        plain(f"\n  {printable(shorten_home(os.path.dirname(listed[album[0]]['path'])))}")
        for row in (listed[number] for number in album):
            tags, name = ", ".join(row["tagged"]), printable(os.path.basename(row["path"]))
            plain(f"    {name[:44]:<44} {tags[:22]:<22} -> {row['suggested']:<16} {row['wrong']:.0%} sure it is wrong")


def _fix(settings: Settings, wanted: dict[str, dict[str, Any]], least: float, choice: Choice) -> int:
    """The list as a plan: each track, by its path, with the suggestion as its decision."""
    from dataclasses import replace

    from music_reclass.cli.session import writing
    from music_reclass.cli.writing import conclude, plan_for
    from music_reclass.domain import Decision, OnExisting, Outcome
    from music_reclass.features.decisions import Decisions

    with writing(replace(settings, on_existing=OnExisting.REPLACE.value), "audit") as work:
        decisions = Decisions(work.database)

        def tracks() -> Iterator[Track]:
            for path, row in wanted.items():
                track = decisions.track_at(path)
                if track is not None:
                    genres = (str(row["suggested"]),)
                    decided = Decision(Outcome.CONFIDENT, "audit", genres, min(1.0, row["wrong"]), "audit")
                    yield replace(track, decision=decided)

        arguments: dict[str, object] = {"least": least, "tracks": len(wanted)}
        return conclude(work, plan_for(work, tracks), choice, command="audit", arguments=arguments)
