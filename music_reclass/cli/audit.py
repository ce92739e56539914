"""Which tags are most likely wrong: `audit` lists them, best evidence first, and hands them to plan, write and undo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import Choice, settings_from, write_flags
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
@write_flags
def audit(paths: tuple[Path, ...], fix: bool, **words: Any) -> int:
    """Genre tags that are most likely wrong, below PATHS or in the whole library; no audio is read.

    Every tag is judged by models that never saw its artist: one learned from your other tags, and the embedded one.
    """
    from music_reclass.cli.library import open_library
    from music_reclass.taxonomy import load

    settings = settings_from(words["config_file"], db=words["db"])
    taxonomy = load(settings.taxonomy)
    database = open_library(words["db"], words["config_file"])
    try:
        data, doubt = _judged(database, taxonomy, words["seed"])
    finally:
        database.close()
    rows = _listed(data, doubt, [os.path.realpath(path) for path in paths], words)
    if not fix:
        _show(data, doubt, rows, taxonomy, words["as_json"])
        return 0
    return _fix(settings, data, doubt, rows, taxonomy, words)


def _judged(database: Database, taxonomy: Taxonomy, seed: int) -> tuple[Dataset, LabelIssues]:
    from music_reclass.errors import NothingToDo
    from music_reclass.models import bundle as bundles
    from music_reclass.models.dataset import to_dataset
    from music_reclass.training import label_issues as own_library
    from music_reclass.training import library
    from music_reclass.training.open import LEAST

    bundle = bundles.embedded()  # not the user's own, which may have learned from these very tags
    raw = library.read(database, bundle.kinds[0])
    count = len(raw.names)
    data = to_dataset(raw, taxonomy, min(LEAST, max(2, count // 20)))
    if len(data.table.classes) < 2 or len(data) < 20:
        raise NothingToDo(
            f"{len(data)} tagged tracks in {len(data.table.classes)} genres are too few to tell a wrong tag from a "
            "right one."
        )
    return data, own_library.library_label_issues(data, bundle, taxonomy, seed, complain)


def _listed(data: Dataset, doubt: LabelIssues, folders: list[str], words: dict[str, Any]) -> list[int]:
    """Rows of the list, the surest first."""
    rows = [
        int(row)
        for row in doubt.suspects(words["least"])
        if not folders or any(data.names[row] == f or data.names[row].startswith(f.rstrip("/") + "/") for f in folders)
    ]
    return rows[: words["most"]] if words["most"] else rows


def _show(data: Dataset, doubt: LabelIssues, rows: list[int], taxonomy: Taxonomy, as_json: bool) -> None:
    import numpy as np

    from music_reclass.training.label_issues import grouped_by_album

    expected = doubt.expected_precision(np.array(rows, dtype=np.int64))
    if not as_json:
        for note in data.table.notes:
            say("note", note)
        share = "" if not rows else f"; about {expected:.0%} of the list are expected to be wrong indeed"
        say("audit", f"{len(data):,} tagged tracks, about {doubt.rate:.1%} wrong; listed: {len(rows):,}{share}")
    for album in grouped_by_album(data.names, rows):
        if not as_json:
            plain(f"\n  {printable(shorten_home(os.path.dirname(data.names[album[0]])))}")
        for row in album:
            told = _row(data, doubt, row, taxonomy)
            if as_json:
                print_json({**told, "expected_precision": round(expected, 4)})
            else:
                tags, name = ", ".join(told["tagged"]), printable(os.path.basename(told["path"]))
                plain(f"    {name[:44]:<44} {tags[:22]:<22} -> {told['suggested']:<16} wrong {told['wrong']:.2f}")


def _row(data: Dataset, doubt: LabelIssues, row: int, taxonomy: Taxonomy) -> dict[str, Any]:
    classes = data.table.classes
    return {
        "path": data.names[row],
        "tagged": [name for name, own in zip(classes, data.table.labels[row], strict=True) if own],
        "suggested": taxonomy.written(classes[doubt.suggested[row]]),
        "wrong": round(float(doubt.wrong[row]), 4),
        "chance": round(float(doubt.chance[row]), 4),
    }


def _fix(
    settings: Settings, data: Dataset, doubt: LabelIssues, rows: list[int], taxonomy: Taxonomy, words: dict[str, Any]
) -> int:
    """The list as a plan: each track with the suggestion as its decision."""
    from dataclasses import replace

    from music_reclass.cli.session import writing
    from music_reclass.cli.writing import conclude, plan_for
    from music_reclass.domain import Decision, OnExisting, Outcome
    from music_reclass.features.decisions import Decisions

    wanted = {row["path"]: row for row in (_row(data, doubt, row, taxonomy) for row in rows) if row["suggested"]}
    with writing(replace(settings, on_existing=OnExisting.REPLACE.value), "audit") as work:
        decisions = Decisions(work.database)

        def states() -> Iterator[Track]:
            for path, row in wanted.items():
                state = decisions.track_at(path)
                if state is not None:
                    genres = (str(row["suggested"]),)
                    decided = Decision(Outcome.CONFIDENT, "audit", genres, min(1.0, row["wrong"]), "audit")
                    yield replace(state, decision=decided)

        choice = Choice(words["dry_run"], words["yes"], words["as_json"])
        arguments = {"least": words["least"], "tracks": len(wanted)}
        return conclude(work, plan_for(work, states), choice, command="audit", arguments=arguments)
