"""`plex selftest`: gives one track a genre, takes it off again, and reports how this server behaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from music_reclass.domain import Finding
from music_reclass.errors import NothingToDo, ServerError
from music_reclass.features.plex import UNDONE, WRITTEN, FieldEdit
from music_reclass.plex.model import TRACK, Item, ItemEdit, Section, same_tags
from music_reclass.plex.write import log_edits, parameters

if TYPE_CHECKING:
    from music_reclass.plex.http import Server
    from music_reclass.plex.library import PlexLibrary

MARK = "Reclass Selftest"
ABSENT = "Reclass Absent"


def find_track(library: PlexLibrary, named: str) -> int:
    """The rating key of the track that the user names: by that number, or by its file here or on the server."""
    if named.isdigit():
        return int(named)
    path_map = library.path_map
    there = path_map.server(named)
    for one in library.tracks():
        if named in one.files or there in one.files or any(path_map.local(path) == named for path in one.files):
            return one.key
    raise NothingToDo("No track of the Plex library has this file; name it as the server does, or by its rating key.")


def selftest(library: PlexLibrary, key: int, run_id: int) -> Iterator[Finding]:
    """Try everything that was never tried on a real server, on one track, and put it back; each step as it is done."""
    server, section, journal = library.server, library.section, library.journal
    start = _read(server, key)
    several = [key, next((one.key for one in server.tracks(section) if one.key != key), key)]
    yield Finding("track", None, f"{start.label}; {_shown(start)}")
    yield Finding(
        "track genres listed", None, "yes" if server.carries_genres(section, TRACK) else "no: --level track will refuse"
    )
    yield _pages_agree(server, several, start)
    edit = start.edit("genre", (*start.value("genre"), MARK), lock=True)
    (ids,) = log_edits(library, [ItemEdit(start, (edit,))], run_id)
    yield _bare_addition(server, section, start)
    yield _converge(server, section, key, edit)
    journal.settle([(one, WRITTEN, "") for one in ids])
    yield _together_shows_lock(server, several)
    yield _absent_removal(server, section, key)
    yield _case(server, section, key)
    now = _read(server, key)
    back = now.edit("genre", edit.before, lock=edit.lock_before)
    server.edit(section, TRACK, [key], parameters([ItemEdit(now, (back,))]))
    end = _read(server, key)
    if end.is_after(back):
        journal.settle([(one, UNDONE, "") for one in ids])
    yield Finding("as before", end.is_after(back), _shown(end))


def _read(server: Server, key: int) -> Item:
    item = server.items([key]).get(key)
    if item is None or item.level != TRACK:
        raise ServerError(f"The Plex server has no track with the number {key}.")
    return item


def _shown(item: Item) -> str:
    lock = "locked" if "genre" in item.locked else "not locked"
    return f"genres: {', '.join(item.value('genre')) or '(none)'}; {lock}"


def _genres(*genres: str) -> dict[str, str | int]:
    """What sends a list of genres whole; it is tried here also where nothing would have to change."""
    return {f"genre[{number}].tag.tag": genre for number, genre in enumerate(genres)}


def _pages_agree(server: Server, several: Sequence[int], item: Item) -> Finding:
    among = server.items(several).get(several[0])
    fine = among is not None and among.tags == item.tags and among.locked == item.locked
    return Finding("several at once show as much as one", fine, "the same" if fine else "less: sync would misjudge")


def _bare_addition(server: Server, section: Section, item: Item) -> Finding:
    """One genre sent alone: what does "add" mean here?"""
    server.edit(section, TRACK, [item.key], {**_genres(MARK), "genre.locked": 1})
    now = _read(server, item.key).value("genre")
    if same_tags(now, (*item.value("genre"), MARK)):
        seen = "adds to the list" if item.value("genre") else "gives that genre (the track had none: no more to see)"
    else:
        seen = "replaces the list" if same_tags(now, (MARK,)) else f"gives {', '.join(now) or '(none)'}"
    return Finding("a bare addition", None, seen)


def _converge(server: Server, section: Section, key: int, edit: FieldEdit) -> Finding:
    now = _read(server, key)
    wanted = now.edit("genre", edit.after, lock=edit.lock_after)
    server.edit(section, TRACK, [key], {**parameters([ItemEdit(now, (wanted,))]), **_genres(*edit.after)})
    now = _read(server, key)
    return Finding("the edit of sync", now.is_after(edit), _shown(now))


def _together_shows_lock(server: Server, several: Sequence[int]) -> Finding:
    among = server.items(several).get(several[0])
    fine = among is not None and "genre" in among.locked
    return Finding("the lock shows among several", fine, "yes" if fine else "no: sync would stop")


def _absent_removal(server: Server, section: Section, key: int) -> Finding:
    before = _read(server, key).value("genre")
    server.edit(section, TRACK, [key], {"genre[].tag.tag-": ABSENT.replace(" ", "%20"), "genre.locked": 1})
    after = _read(server, key).value("genre")
    return Finding("removing what is not there", same_tags(before, after), "harmless" if before == after else "not so")


def _case(server: Server, section: Section, key: int) -> Finding:
    now = _read(server, key)
    server.edit(section, TRACK, [key], {**_genres(*now.value("genre"), MARK.upper()), "genre.locked": 1})
    after = _read(server, key).value("genre")
    both = MARK in after and MARK.upper() in after
    return Finding("two genres that differ in case", not both, "two" if both else "one and the same")
