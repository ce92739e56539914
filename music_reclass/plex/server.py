"""What we ask of a Plex server and tell it: libraries, tracks, whole items, edits. Every edit names its items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, quote_plus

from music_reclass.errors import NothingToDo, ServerError, UsageError
from music_reclass.plex.http import Client, Refused
from music_reclass.plex.login import access
from music_reclass.plex.model import (
    ALBUM,
    ARTIST,
    TRACK,
    Item,
    Listed,
    Section,
    carries_genres,
    item_of,
    listed_of,
    section_of,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from music_reclass.config import Settings

PAGE = 1000  # tracks in one page of a listing
TOGETHER = 100  # items in one address: 1 kB of it; proxies refuse 8
KIND_NUMBER = {ARTIST: 8, ALBUM: 9, TRACK: 10}
Thing = TypeVar("Thing")
TOO_MUCH = frozenset({400, 404, 413, 414})  # may mean "too many at once", or that one of them is gone


class Server:
    """One server. Methods raise ServerError where it cannot be used; `Refused` only where they say so."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def sections(self) -> tuple[Section, ...]:
        """All libraries."""
        return tuple(section_of(element) for element in self._page("/library/sections") if element.tag == "Directory")

    def music(self, name: str = "") -> Section:
        """The music library of this title or number, or the only one; UsageError names those there are."""
        found = [section for section in self.sections() if section.is_music]
        if not found:
            raise NothingToDo("the Plex server holds no music library.")
        wanted = [one for one in found if not name or name.strip().casefold() in (one.title.casefold(), str(one.key))]
        if len(wanted) == 1:
            return wanted[0]
        names = ", ".join(f"{one.title} (number {one.key})" for one in found)
        what = f"there is no music library {name!r}" if not wanted else "there are several music libraries"
        raise UsageError(f"{what}; name one with --library: {names}.")

    def carries_genres(self, section: Section, level: str) -> bool:
        """Whether items of this level can hold genres here; asked, as the version does not tell."""
        path = f"/library/sections/{section.key}/all?includeMeta=1&includeAdvanced=1"
        container = self._page(path, _window(0, 0))
        return carries_genres(container, level)

    def tracks(self, section: Section) -> Iterator[Listed]:
        """All tracks of a library, page by page: each page is asked for once, however long the library is."""
        path = f"/library/sections/{section.key}/all?type={KIND_NUMBER[TRACK]}"
        start = 0
        while True:
            page = self._page(path, _window(start, PAGE))
            found = 0
            for element in page:
                found += 1
                if element.tag == "Track":
                    yield listed_of(element)
            start += found
            total = page.attrib.get("totalSize", "")
            if not found or (start >= int(total) if total.isdigit() else found < PAGE):
                return

    def items(self, keys: Iterable[int]) -> Iterator[Item]:
        """The whole items with these keys, in that order; those that are gone are left out."""
        for batch in in_batches(list(keys), TOGETHER):
            found = {item.key: item for item in self._together(batch)}
            yield from (found[key] for key in batch if key in found)

    def _together(self, keys: Sequence[int]) -> list[Item]:
        path = f"/library/metadata/{','.join(map(str, keys))}"
        try:
            page = self.client.get(path, _window(0, len(keys)))
        except Refused as refusal:
            if refusal.status not in TOO_MUCH:
                raise self._unusable(refusal, path) from refusal
            if len(keys) == 1:
                return []
            half = len(keys) // 2
            return self._together(keys[:half]) + self._together(keys[half:])
        return [item for item in map(item_of, () if page is None else page) if item is not None]

    def edit(self, section: Section, level: str, keys: Sequence[int], fields: Mapping[str, str | int]) -> None:
        """Change `fields` of the items; raises Refused where the server refuses these items or this request.

        An edit without items would change the whole library, so it is never sent.
        """
        if not keys or not all(keys) or not fields:
            raise ValueError("an edit names its items and fields")
        query = {**fields, "id": ",".join(map(str, keys)), "type": KIND_NUMBER[level]}
        words = "&".join(f"{quote(name)}={quote(str(value), safe='')}" for name, value in query.items())
        try:
            self.client.put(f"/library/sections/{section.key}/all?{words}")
        except Refused as refusal:
            if refusal.status == 403:
                raise ServerError("this token may not edit the library: only the server's owner may.") from refusal
            raise

    def look_into(self, section: Section, folder: str) -> None:
        """Have the server look for changed files in one of its folders."""
        self._page(f"/library/sections/{section.key}/refresh?path={quote_plus(folder)}")

    def wait_until_looked(self, section: Section, seconds: float = 600.0, every: float = 3.0) -> bool:
        """Wait until the library is not being refreshed; whether that came true in time."""
        started = self.client.clock()
        while True:
            self.client.sleep(every)
            if not any(one.key == section.key and one.refreshing for one in self.sections()):
                return True
            if self.client.clock() - started > seconds:
                return False

    def _page(self, path: str, headers: dict[str, str] | None = None) -> Element:
        from xml.etree.ElementTree import Element

        try:
            page = self.client.get(path, headers)
        except Refused as refusal:
            raise self._unusable(refusal, path) from refusal
        return Element("MediaContainer") if page is None else page

    def _unusable(self, refusal: Refused, path: str) -> ServerError:
        page = path.partition("?")[0]
        if refusal.status == 403:
            return ServerError("this token may not use the library: only the server's owner may.")
        return ServerError(f"the Plex server answers {refusal.status} to {page[:60]}; does the library still exist?")


def connect(settings: Settings) -> Server:
    """The server that the settings or the environment name."""
    return Server(Client(access(settings), rate=settings.plex_rate, timeout=settings.plex_timeout))


def in_batches(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    """`things` in runs of at most `size`."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def _window(start: int, size: int) -> dict[str, str]:
    return {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
