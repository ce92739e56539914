"""The genres we know, and those that are in the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import json_flag, setting_flags
from music_reclass.cli.output import cell, emit, plain, print_json, say

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.taxonomy import Taxonomy


@click.group()
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
