"""Which tags are most likely wrong: `audit` lists them, best evidence first, and hands them to plan, write and undo."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import Choice, choice_flags, setting_flags
from music_reclass.cli.output import complain, plain, print_json, printable, say, shorten_home
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, Track
    from music_reclass.features.database import Database
    from music_reclass.models.dataset import Dataset
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.training.label_issues import LabelIssues, PrecisionCheck

ARTISTS = 5  # a genre of fewer counts as its parent
MOST_NOISE = 0.25  # share of wrong tags above which nothing is fixed
BETTER = ("efficientat",)  # kinds of vectors that are used too where the library has them
NEARLY_ALL = 0.95  # share of the tagged tracks that must have them; the others are left out then, and counted
SURE = 0.5  # chance of a suggestion from which on it may be written


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
@click.option(
    "--fix",
    is_flag=True,
    help="Write the suggested genres where --on-existing allows it: shown, asked about and undone like any write.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="For the folds, the model and the check.")
@setting_flags("on_existing", "wait")
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
    from music_reclass.training.label_issues import check_precision

    taxonomy = load(settings.taxonomy)
    with reading(settings) as database:
        data, issues, tags = _judged(database, taxonomy, seed)
    folders = [os.path.realpath(path) for path in paths]
    suspects = issues.suspects(least)
    rows = [int(row) for row in suspects if _below(data.names[row], folders)][:most]
    listed = [{**_as_json(data, issues, row, taxonomy), "tags": list(tags[row])} for row in rows]
    if fix:
        _require_few(issues)
        return _fix(settings, {row["path"]: row for row in listed if _is_sure(row)}, least, choice)
    expected = issues.expected_precision(np.array(rows, dtype=np.int64))
    check = check_precision(issues, len(suspects) if folders else len(rows), seed=seed) if rows else None
    if choice.as_json:
        more = {"expected_precision": round(expected, 4), "noise": round(issues.rate, 4), "checked": _check_json(check)}
        for row in listed:
            print_json({**row, **more})
        return 0
    for note in data.table.notes:
        say("note", note)
    for line in _summary(len(data), issues, len(listed), check):
        say(*line)
    _show(listed)
    return 0


def _require_few(issues: LabelIssues) -> None:
    """NothingToDo where so many tags seem wrong that it is rather the models that do not know this library's genres."""
    from music_reclass.errors import NothingToDo

    if issues.rate > MOST_NOISE:
        raise NothingToDo(
            f"About {issues.rate:.0%} of the tags seem wrong. With more than {MOST_NOISE:.0%} it is likelier that the "
            "models do not know these genres than that the tags are wrong, so nothing is fixed: look through the list "
            "(reclass audit), correct in a tag editor what you see, and name your genres in the taxonomy file "
            "(reclass genres audit)."
        )


def _is_sure(row: dict[str, Any]) -> bool:
    """Whether the suggestion is likelier right than wrong: a tag that is probably wrong does not say what is right."""
    return bool(row["suggested"]) and row["chance"] >= SURE


def _check_json(check: PrecisionCheck | None) -> dict[str, Any] | None:
    from dataclasses import asdict

    return None if check is None else {name: round(value, 4) for name, value in asdict(check).items()}


def _summary(count: int, issues: LabelIssues, listed: int, check: PrecisionCheck | None) -> Iterator[tuple[str, str]]:
    """The lines above the list: how much seems wrong, and what was measured about a list of this length."""
    from music_reclass.report.text import counted

    yield "audit", f"{counted(count, 'tagged track')}, about {issues.rate:.1%} wrong; listed: {listed:,}"
    if check is not None:
        yield (
            "checked",
            f"about {check.precision:.0%} of such a list are wrong, between {check.low:.0%} and {check.high:.0%} "
            f"(measured with {check.share:.1%} of your tags swapped on purpose)",
        )
    if issues.rate > MOST_NOISE:
        yield "", "so many that the models rather do not know these genres; --fix writes nothing here"


def _judged(database: Database, taxonomy: Taxonomy, seed: int) -> tuple[Dataset, LabelIssues, list[Sequence[str]]]:
    """The tagged tracks of the library, how likely each tag is wrong, and the tags as they are written; NothingToDo
    where they are too few."""
    from music_reclass.errors import NothingToDo
    from music_reclass.models.bundle import embedded
    from music_reclass.models.dataset import to_dataset
    from music_reclass.training import library
    from music_reclass.training.label_issues import library_label_issues
    from music_reclass.training.open import LEAST

    bundle = embedded()  # not the user's bundle, which may have been trained on these very tags
    kind = bundle.kinds[0]
    raw = library.read(database, kind, _more_kinds(database, kind), decided=library.decided_genres(database, kind))
    # What lives in a few artists cannot be foretold by a model that never saw them.
    data = to_dataset(raw, taxonomy, min(LEAST, max(2, len(raw.names) // 20)), artists=ARTISTS)
    if len(data.table.classes) < 2 or len(data) < 20:
        raise NothingToDo(
            f"Too few to tell a wrong tag from a right one: {counted(len(data), 'tagged track')} in "
            f"{counted(len(data.table.classes), 'genre')}. Scan more tagged music first (reclass scan --dry-run PATH)."
        )
    written = dict(zip(map(os.fspath, raw.names), raw.genres, strict=True))
    tags = [written[name] for name in data.names]
    return data, library_label_issues(data, bundle, taxonomy, genres=tags, seed=seed, log=complain), tags


def _more_kinds(database: Database, first: FeatureKind) -> list[FeatureKind]:
    """The kinds of vectors that tell genres better than the first, and that all but a few of the tagged tracks have."""
    from music_reclass.features.library import Library
    from music_reclass.training.npz import PUBLISHED

    tracks = Library(database)
    tagged = [track.id for track in tracks.tracks_with(first, tagged_by_user=True) if track.id is not None]
    kinds = [PUBLISHED[name] for name in BETTER]
    return [kind for kind in kinds if tagged and len(tracks.having(tagged, kind)) >= NEARLY_ALL * len(tagged)]


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
            tags, name = printable(", ".join(row["tags"])), printable(os.path.basename(row["path"]))
            plain(f"    {name[:44]:<44} {tags[:22]:<22} -> {row['suggested']:<16} {row['wrong']:.0%} sure it is wrong")


def _fix(settings: Settings, wanted: dict[str, dict[str, Any]], least: float, choice: Choice) -> int:
    """The list as a plan: each track, by its path, with the suggestion as its decision."""
    from dataclasses import replace

    from music_reclass.cli.session import writing
    from music_reclass.cli.writing import conclude, plan_for
    from music_reclass.domain import Decision, OnExisting, Outcome
    from music_reclass.features.decisions import Decisions

    with writing(settings, "audit") as work:
        decisions = Decisions(work.database)

        def tracks() -> Iterator[Track]:
            for path, row in wanted.items():
                track = decisions.track_at(path)
                if track is not None:
                    genres = (str(row["suggested"]),)
                    # Likely at most: what audit finds comes with a check, and no certificate.
                    decided = Decision(Outcome.LIKELY, "audit", genres, min(1.0, row["chance"]), "audit")
                    yield replace(track, decision=decided)

        if wanted and settings.on_existing in (OnExisting.KEEP.value, OnExisting.REPLACE_JUNK.value):
            complain(
                f"These tracks have a genre, and --on-existing {settings.on_existing} leaves it alone; to let audit "
                "replace it: --on-existing replace-conflict (or merge, which adds the suggestion)."
            )
        arguments: dict[str, object] = {"least": least, "tracks": len(wanted)}
        return conclude(work, plan_for(work, tracks, decided=False), choice, command="audit", arguments=arguments)
