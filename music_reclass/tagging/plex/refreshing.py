"""After files were written: have the server look into the folders they lie in, no more of them than need be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from music_reclass.tagging.plex.mapping import PathMap, is_windows, parts_of, path_of

if TYPE_CHECKING:
    from music_reclass.tagging.plex.nouns import Section
    from music_reclass.tagging.plex.server import Server

MOST = 25  # requests; above that, wider folders are asked for


def folders_of(files: Iterable[str], roots: Iterable[str], most: int = MOST) -> list[str]:
    """The folders of `files`, or those above them until there are at most `most`, never above one of `roots`.

    All are paths as the server writes them; files outside every root are left out.
    """
    tops = [parts_of(root) for root in roots]
    windows = any(is_windows(root) for root in roots)
    found: dict[tuple[str, ...], int] = {}  # folder -> length of its root
    for file in files:
        parts = parts_of(file)
        top = max((len(top) for top in tops if parts[: len(top)] == top), default=0)
        if top and len(parts) > top:
            found[parts[:-1]] = top
    while len(found) > most:
        deepest = max(len(folder) - top for folder, top in found.items())
        if deepest == 0:
            break
        found = {(folder[:-1] if len(folder) - top == deepest else folder): top for folder, top in found.items()}
    inside = {folder for folder in found if not any(folder[:n] in found for n in range(1, len(folder)))}
    return sorted(path_of(folder, windows=windows) for folder in inside)


def look_into_folders(server: Server, section: Section, path_map: PathMap, files: Iterable[str]) -> int:
    """Have the server read the folders of these local files anew, and wait for it; how many folders."""
    there = [path for path in map(path_map.server, files) if path is not None]
    folders = folders_of(there, section.locations)
    for folder in folders:
        server.look_into(section, folder)
    if folders:
        server.wait_until_looked(section)
    return len(folders)
