"""The genres we know, those that are in the files, and cleaning the latter by the former."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import Choice, Commands, choice_flags, json_flag, setting_flags
from music_reclass.cli.output import cell, complain, emit, plain, print_json, say

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.tagging.apply import WriteReport
    from music_reclass.tagging.policy import Proposal
    from music_reclass.taxonomy import Taxonomy

_KINDS_SHOWN = 40


@click.group(cls=Commands)
def genres() -> None:
    """The tree of genres, and the genres that your files hold."""


@genres.command("list")
@setting_flags("taxonomy")
@json_flag
def list_genres(as_json: bool, settings: Settings) -> None:
    """All genres that are known, each below its parent."""
    from music_reclass.taxonomy import load

    taxonomy = load(settings.taxonomy)
    children: dict[str | None, list[str]] = {}
    for name in taxonomy.labels:
        children.setdefault(taxonomy.parent(name), []).append(name)

    def show(name: str, depth: int) -> None:
        shown = {"genre": name, "parent": taxonomy.parent(name), "written": taxonomy.written(name)}
        emit(shown, "  " * depth + name, as_json)
        for child in children.get(name, []):
            show(child, depth + 1)

    for root in children.get(None, []):
        show(root, 0)


@genres.command("audit")
@setting_flags("taxonomy")
@json_flag
def audit_genres(as_json: bool, settings: Settings) -> None:
    """The distinct genres in your files as last scanned: how many, what each maps to, what is junk or unknown."""
    from music_reclass.cli.session import reading
    from music_reclass.errors import NothingToDo
    from music_reclass.features.library import Library
    from music_reclass.report.text import counted
    from music_reclass.taxonomy import audit, load

    taxonomy: Taxonomy = load(settings.taxonomy)
    with reading(settings) as library:
        counts = Library(library).genre_counts()
    if not counts:
        raise NothingToDo("No file of the library holds a genre.")
    rows = audit(taxonomy, counts)
    if as_json:
        for row in rows:
            print_json({"value": row.value, "tracks": row.count, "status": row.status, "genres": list(row.genres)})
        return
    for row in rows:
        plain(f"{row.count:>8}  {cell(row.value, 40)}  {row.status:<9} {cell(', '.join(row.genres), 40, padded=False)}")
    by_status: dict[str, int] = {}
    for row in rows:
        by_status[row.status] = by_status.get(row.status, 0) + 1
    say(
        "genres",
        f"{counted(len(rows), 'distinct value')}: " + ", ".join(f"{n} {status}" for status, n in by_status.items()),
    )


@genres.command("clean")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--styles-apart", "apart", is_flag=True,
    help="Put a genre below a root (or below one of --only) into the field STYLE, and the root into the genre.",
)  # fmt: skip
@click.option("-v", "--verbose", "show_all", is_flag=True, help="List every kind of change.")
@choice_flags
@setting_flags("genres", "profile", "preserve_mtime", "detach_hard_links", "taxonomy", "wait")
def clean_genres(paths: tuple[Path, ...], *, apart: bool, show_all: bool, choice: Choice, settings: Settings) -> int:
    """Spell the genres in your files as the taxonomy does, below PATHS or in the whole library.

    One spelling of each genre, every genre a value of its own, junk gone; names that the taxonomy does not know stay,
    and no genre comes in. Files below PATHS need not have been scanned. What is to be left alone (`decide --leave`)
    stays.
    """
    from music_reclass.cli.ask import known_genres
    from music_reclass.cli.session import writing
    from music_reclass.cli.writing import conclude
    from music_reclass.domain import OnExisting
    from music_reclass.errors import NothingToDo
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.library import CLEANING
    from music_reclass.report.text import not_written
    from music_reclass.tagging.apply import WritePlan
    from music_reclass.tagging.policy import KEEP
    from music_reclass.utils.words import counted

    folders = [os.path.realpath(path) for path in paths]
    if missing := next((path for path in folders if not os.path.exists(path)), None):
        raise NothingToDo(f"{missing} does not exist.")
    with writing(settings, CLEANING, must_exist=not folders) as work:
        only = known_genres(work.taxonomy.split(settings.genres), work.taxonomy)
        rule = _rule(work, only, apart=apart)
        problems: Counter[str] = Counter()
        fresh = list(_unscanned(work, folders, rule, problems))
        met = {track.path for track in fresh}
        known = Decisions(work.database)

        def tracks() -> Iterator[Track]:
            for track in chain(known.below(folders), fresh):
                if (track.id == 0 or track.path not in met) and rule(track).action != KEEP:
                    yield track

        for reason, count in problems.items():
            complain(f"{counted(count, 'file')} could not be read: {not_written(reason)}")
        plan = WritePlan(tracks, work.taxonomy, OnExisting.KEEP, rule=rule)
        show = partial(_show_kinds, most=None if show_all else _KINDS_SHOWN)
        return conclude(work, plan, choice, command=CLEANING, arguments={"paths": folders}, show=show)


def _rule(work: Session, only: tuple[str, ...], *, apart: bool) -> Callable[[Track], Proposal]:
    """What becomes of the genres of a track; each combination of values is looked at once."""
    from music_reclass.tagging.apply import LASTING, styles_held
    from music_reclass.tagging.policy import KEEP, NONE, Proposal, clean

    held = styles_held(work.journal)

    @cache
    def proposed(genres: tuple[str, ...], apart: bool) -> Proposal:
        return clean(genres, work.taxonomy, only=only, profile=work.settings.profile, apart=apart)

    def rule(track: Track) -> Proposal:
        if track.decision is not None and track.decision.reason == "left":
            return Proposal(KEEP, "you said to leave it alone")
        proposal = proposed(track.tags.genres or (), apart)
        if proposal.style_field and held(track, True) not in (None, (), (proposal.style_field,)):
            proposal = proposed(track.tags.genres or (), False)
        if proposal.writes and track.unwritable in LASTING:
            return Proposal(NONE, track.unwritable)
        return proposal

    return rule


def _unscanned(
    work: Session, folders: list[str], rule: Callable[[Track], Proposal], problems: Counter[str]
) -> Iterator[Track]:
    """The files below `folders` that the library does not know as they are, and whose genres would change, with their
    tags; `problems` counts those that cannot be read, by reason."""
    from music_reclass.errors import TrackError
    from music_reclass.features.library import Library
    from music_reclass.tagging.policy import KEEP
    from music_reclass.tagging.read import read_tags
    from music_reclass.utils.files import walk
    from music_reclass.utils.progress import progress_bar

    library = Library(work.database)
    with progress_bar("tags", 0) as bar:
        for file in walk(folders, stop=lambda: bool(work.stop)):
            if library.is_known(file):
                continue
            bar.advance(1)
            try:
                read = replace(file, tags=read_tags(Path(file.path)), decision=library.decision_at(file.path))
            except TrackError as error:
                problems[error.reason] += 1
                continue
            if rule(read).action != KEEP:
                yield read


def _show_kinds(tally: WriteReport, most: int | None) -> None:
    """What becomes of what, with the number of files, the most frequent first."""
    from music_reclass.utils.words import counted

    kinds = sorted(tally.kinds.items(), key=lambda item: (-item[1], item[0]))
    for (before, after), count in kinds[:most]:
        plain(f"{count:>8,}  {cell(before, 40)} -> {cell(after or '(no genre)', 40, padded=False)}")
    if most is not None and len(kinds) > most:
        rest = sum(count for _, count in kinds[most:])
        plain(f"{rest:>8,}  in {counted(len(kinds) - most, 'other way')} (-v lists all)")
    for (_, reason), count in tally.unwritable.items():
        plain(f"{count:>8,}  cannot be written ({reason})")
