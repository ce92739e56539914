"""`plex selftest`: one track the user names gets a genre, loses it again, and tells how this server behaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.errors import NothingToDo, ServerError
from music_reclass.features.plex import UNDONE, WRITTEN, PlexJournal
from music_reclass.plex.model import TRACK, FieldEdit, Item, ItemEdit, Section, same_tags
from music_reclass.plex.paths import PathMap
from music_reclass.plex.write import new_edit_log, parameters

if TYPE_CHECKING:
    from music_reclass.features.plex import KnownServer
    from music_reclass.plex.server import Server

MARK = "Reclass Selftest"
ABSENT = "Reclass Absent"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing tried: whether it is as sync needs it (None: either way is fine), and what was seen."""

    name: str
    fine: bool | None
    seen: str


def find_track(server: Server, section: Section, named: str, path_map: PathMap) -> int:
    """The rating key of the track that the user names: by that number, or by its file here or on the server."""
    if named.isdigit():
        return int(named)
    there = path_map.server(named)
    for one in server.tracks(section):
        if named in one.files or there in one.files or any(path_map.local(path) == named for path in one.files):
            return one.key
    raise NothingToDo("no track of the Plex library has this file; name it as the server does, or by its rating key.")


def selftest(
    server: Server, section: Section, key: int, journal: PlexJournal, known: KnownServer, run_id: int
) -> Iterator[Step]:
    """Try everything that was never tried on a real server, on one track, and put it back; each step as it is done."""
    start = _read(server, key)
    yield Step("track", None, f"{start.label}; genres: {_shown(start)}; {_lock(start)}")
    yield Step(
        "track genres listed", None, "yes" if server.carries_genres(section, TRACK) else "no: --level track will refuse"
    )
    yield _pages_agree(server, section, start)
    after = (*start.value("genre"), MARK)
    edit = FieldEdit("genre", start.value("genre"), after, "genre" in start.locked, True)
    edit_log = new_edit_log(journal, run_id, known.id, section)
    ids = edit_log.begin([ItemEdit(start, (edit,))])[0]
    yield _bare_addition(server, section, start)
    yield _converge(server, section, key, edit)
    journal.settle([(one, WRITTEN, "") for one in ids])
    yield _together_shows_lock(server, section, key)
    yield _absent_removal(server, section, key)
    yield _case(server, section, key)
    now = _read(server, key)
    back = FieldEdit("genre", now.value("genre"), edit.before, "genre" in now.locked, edit.lock_before)
    server.edit(section, TRACK, [key], parameters([ItemEdit(now, (back,))]))
    end = _read(server, key)
    if back.holds_after(end):
        journal.settle([(one, UNDONE, "") for one in ids])
    yield Step("as before", back.holds_after(end), f"genres: {_shown(end)}; {_lock(end)}")


def _read(server: Server, key: int) -> Item:
    item = next(server.items([key]), None)
    if item is None or item.level != TRACK:
        raise ServerError(f"the Plex server has no track with the number {key}.")
    return item


def _shown(item: Item) -> str:
    return ", ".join(item.value("genre")) or "(none)"


def _lock(item: Item) -> str:
    return "locked" if "genre" in item.locked else "not locked"


def _neighbour(server: Server, section: Section, key: int) -> int:
    return next((one.key for one in server.tracks(section) if one.key != key), key)


def _pages_agree(server: Server, section: Section, item: Item) -> Step:
    several = next(server.items([item.key, _neighbour(server, section, item.key)]), None)
    fine = several is not None and several.tags == item.tags and several.locked == item.locked
    return Step("several at once show as much as one", fine, "the same" if fine else "less: sync would misjudge")


def _bare_addition(server: Server, section: Section, item: Item) -> Step:
    """One genre sent alone: what does "add" mean here?"""
    server.edit(section, TRACK, [item.key], {"genre[0].tag.tag": MARK, "genre.locked": 1})
    now = _read(server, item.key).value("genre")
    if same_tags(now, (*item.value("genre"), MARK)):
        seen = "adds to the list" if item.value("genre") else "gives that genre (the track had none: cannot tell more)"
    else:
        seen = "replaces the list" if same_tags(now, (MARK,)) else f"gives {', '.join(now) or '(none)'}"
    return Step("a bare addition", None, seen)


def _converge(server: Server, section: Section, key: int, edit: FieldEdit) -> Step:
    now = _read(server, key)
    wanted = FieldEdit("genre", now.value("genre"), edit.after, "genre" in now.locked, edit.lock_after)
    server.edit(section, TRACK, [key], {**parameters([ItemEdit(now, (wanted,))]), **_whole(edit)})
    now = _read(server, key)
    return Step("the edit of sync", edit.holds_after(now), f"genres: {_shown(now)}; {_lock(now)}")


def _whole(edit: FieldEdit) -> dict[str, str | int]:
    """The whole wanted list, also where nothing would have to change: that is what is tried here."""
    return {f"{edit.field}[{number}].tag.tag": tag for number, tag in enumerate(edit.after)}


def _together_shows_lock(server: Server, section: Section, key: int) -> Step:
    several = next(server.items([key, _neighbour(server, section, key)]), None)
    fine = several is not None and "genre" in several.locked
    return Step("the lock shows among several", fine, "yes" if fine else "no: sync would stop")


def _absent_removal(server: Server, section: Section, key: int) -> Step:
    before = _read(server, key).value("genre")
    server.edit(section, TRACK, [key], {"genre[].tag.tag-": ABSENT.replace(" ", "%20"), "genre.locked": 1})
    after = _read(server, key).value("genre")
    return Step("removing what is not there", same_tags(before, after), "harmless" if before == after else "not so")


def _case(server: Server, section: Section, key: int) -> Step:
    now = _read(server, key)
    sent = {f"genre[{n}].tag.tag": tag for n, tag in enumerate((*now.value("genre"), MARK.upper()))}
    server.edit(section, TRACK, [key], {**sent, "genre.locked": 1})
    after = _read(server, key).value("genre")
    both = MARK in after and MARK.upper() in after
    return Step("two genres that differ in case", not both, "two" if both else "one and the same")
