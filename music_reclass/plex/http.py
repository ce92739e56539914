"""Requests to one Plex server: paced and retried through plexapi; what is asked of a library, and what is edited."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, quote_plus, urlsplit

from music_reclass import __version__
from music_reclass.errors import NothingToDo, ServerError, UsageError
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

    from music_reclass.config import Secret

DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before each further attempt; together a minute, what a restart of the server may take."""

FIRST_DELAYS = DELAYS[:2]  # a server that was never reached is more likely misspelt than restarting
PATIENCE = 60.0  # seconds a server may ask us to wait
SUCCESS = (200, 201, 204)
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
Answer = TypeVar("Answer")


class Refused(Exception):
    """The server answered with a status that is no success. `wait`: the seconds its Retry-After asks for."""

    def __init__(self, status: int, wait: float = 0.0) -> None:
        super().__init__(status)
        self.status = status
        self.wait = wait


class _Trouble(Exception):
    """A fault that may pass by itself; `words` complete "the server at ... "."""

    def __init__(self, words: str, wait: float = 0.0) -> None:
        super().__init__(words)
        self.wait = wait


class Client:
    """Asks one server, one request at a time; `count` is the number of requests sent, repeated ones included.

    Every method raises Refused for a refusal that concerns this request, ServerError where the server cannot be
    used at all. `rate` is in requests a second, 0 means unlimited.
    """

    def __init__(
        self,
        url: str,
        token: Secret,
        *,
        rate: float = 0.0,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        import requests

        self.url = url
        self.count = 0
        self.sleep, self.clock = sleep, clock
        self._gap = 1.0 / rate if rate > 0 else 0.0
        self._free = 0.0  # when the next request may leave
        self._session = requests.Session()
        self._session.hooks["response"].append(_refuse)
        self._server = self._retried(lambda: self._connected(token, timeout), "/", FIRST_DELAYS)

    @property
    def name(self) -> str:
        """What its owner calls the server."""
        return str(self._server.friendlyName or "")

    @property
    def version(self) -> str:
        """The release of the server."""
        return str(self._server.version or "unknown")

    @property
    def machine(self) -> str:
        """The name of this server among all others; it survives moves and new addresses."""
        return str(self._server.machineIdentifier or "")

    def get(self, path: str, headers: dict[str, str] | None = None) -> Element | None:
        """The XML of one page, None where the answer is empty."""
        answer: Element | None = self._retried(lambda: self._server.query(path, headers=headers or {}), path)
        return answer

    def put(self, path: str) -> None:
        """Send one edit. Whatever we send may be sent again: it names the state wanted, not a step."""
        self._retried(lambda: self._server.query(path, method=self._session.put), path)

    def _retried(self, send: Callable[[], Answer], path: str, delays: Sequence[float] = DELAYS) -> Answer:
        page = urlsplit(path).path
        words = ""
        for delay in (*delays, None):
            self._pace()
            try:
                return self._attempt(send, page)
            except _Trouble as trouble:
                words, wait = str(trouble), trouble.wait
            if delay is not None:
                self.sleep(max(delay, min(wait, PATIENCE)))
        raise ServerError(f"The Plex server at {self.url} {words}; is it running, and is this its address?")

    def _attempt(self, send: Callable[[], Answer], page: str) -> Answer:
        from requests import exceptions as trouble

        try:
            return send()
        except Refused as refusal:
            if refusal.status == 401:
                raise ServerError(f"The Plex server at {self.url} does not accept the token.") from None
            if 300 <= refusal.status < 400:  # followed, the token would go to whoever is named there
                raise ServerError(f"{self.url} sends us on to another address; name that one instead.") from None
            if refusal.status in PASSING:
                raise _Trouble(f"keeps answering {refusal.status}", refusal.wait) from None
            raise
        except trouble.SSLError as error:
            raise ServerError(f"The certificate of {self.url} is not made for this address, or not trusted.") from error
        except trouble.Timeout as error:
            raise _Trouble("does not answer in time") from error
        except (trouble.ConnectionError, trouble.ChunkedEncodingError, trouble.ContentDecodingError) as error:
            raise _Trouble("cannot be reached") from error
        except SyntaxError as error:  # xml.etree's ParseError is one
            raise ServerError(f"What answers at {self.url}{page} is not a Plex server.") from error

    def _connected(self, token: Secret, timeout: float) -> Any:
        with _without_user_settings():
            from plexapi import server

            make: Any = server.PlexServer
            return make(self.url, token.reveal(), session=self._session, timeout=max(timeout, 0.1))

    def _pace(self) -> None:
        self.count += 1
        if self._gap:
            now = self.clock()
            if now < self._free:
                self.sleep(self._free - now)
            self._free = max(now, self._free) + self._gap


def _refuse(response: Any, *_: object, **__: object) -> None:
    """Raise before plexapi makes a message of it, which would repeat the address and the server's words."""
    if response.status_code in SUCCESS:
        return
    after = response.headers.get("Retry-After", "")
    response.close()
    raise Refused(response.status_code, float(after) if after.isdigit() else 0.0)


@contextmanager
def _without_user_settings() -> Iterator[None]:
    """plexapi without the user's plexapi settings: they can put the token into every address, or log to a file."""
    ours = {
        "PLEXAPI_CONFIG_PATH": os.devnull,
        "PLEXAPI_PLEXAPI_AUTORELOAD": "0",
        "PLEXAPI_HEADER_PRODUCT": "reclass",
        "PLEXAPI_HEADER_VERSION": __version__,
    }
    users = {name: value for name, value in os.environ.items() if name.startswith("PLEXAPI_")}
    for name in users:
        del os.environ[name]
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        os.environ.update(users)


PAGE = 1000  # tracks in one page of a listing
TOGETHER = 100  # items in one edit
READ_TOGETHER = 200  # items in one address to read: 2 kB of it; proxies refuse 8
KIND_NUMBER = {ARTIST: 8, ALBUM: 9, TRACK: 10}
Thing = TypeVar("Thing")
TOO_MUCH = frozenset({400, 404, 413, 414})  # may mean "too many at once", or that one of them is gone


class Server:
    """One server. Methods raise ServerError where it cannot be used; `Refused` only where they say so."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._known = 0  # an item that is there
        self._leaves_out: bool | None = None  # whether an answer for several items leaves out what is gone

    def sections(self) -> tuple[Section, ...]:
        """All libraries."""
        return tuple(section_of(element) for element in self._page("/library/sections") if element.tag == "Directory")

    def music(self, name: str = "") -> Section:
        """The music library of this title or number, or the only one; UsageError names those there are."""
        found = [section for section in self.sections() if section.is_music]
        if not found:
            raise NothingToDo("The Plex server holds no music library.")
        wanted = [one for one in found if not name or name.strip().casefold() in (one.title.casefold(), str(one.key))]
        if len(wanted) == 1:
            return wanted[0]
        names = ", ".join(f"{one.title} (number {one.key})" for one in found)
        what = f"There is no music library {name!r}" if not wanted else "There are several music libraries"
        raise UsageError(f"{what}; name one with --library: {names}.")

    def carries_genres(self, section: Section, level: str) -> bool:
        """Whether items of this level can hold genres here; asked, because the version does not say."""
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

    def names(self, section: Section, field: str, level: str) -> tuple[str, ...]:
        """What items of this level hold in a field (genre, style) anywhere in the library, as the server spells it."""
        try:
            page = self.client.get(f"/library/sections/{section.key}/{field}?type={KIND_NUMBER[level]}")
        except Refused:  # an older server has no list for this level
            return ()
        return tuple(title for one in (page if page is not None else ()) if (title := one.attrib.get("title")))

    def items(self, keys: Iterable[int]) -> Iterator[Item]:
        """The whole items with these keys, in that order; those that are gone are left out."""
        for batch in in_batches(list(keys), READ_TOGETHER):
            found = {item.key: item for item in self._together(batch)}
            self._known = next(iter(found), self._known)
            yield from (found[key] for key in batch if key in found)

    def _together(self, keys: Sequence[int]) -> list[Item]:
        path, read = _page_of(keys), self.client.clock()
        try:
            page = self.client.get(path, _window(0, len(keys)))
        except Refused as refusal:
            if refusal.status not in TOO_MUCH:
                raise self._unusable(refusal, path) from refusal
            if len(keys) == 1 or (refusal.status == 404 and self._leaves_out_gone(keys[0])):
                return []
            half = len(keys) // 2
            return self._together(keys[:half]) + self._together(keys[half:])
        return [item for one in (() if page is None else page) if (item := item_of(one, read)) is not None]

    def _leaves_out_gone(self, key: int) -> bool:
        """Whether a 404 for several items, of which `key` is one, says that all of them are gone: so it is where an
        answer leaves out what is gone, and not where one item that is gone spoils it. The server is asked once."""
        if self._leaves_out is None:
            known = self._known or next(
                (one.key for section in self.sections() if section.is_music for one in self._first(section)), 0
            )
            try:
                page = self.client.get(_page_of([known, key]), _window(0, 2))
                self._leaves_out = page is not None and len(page) == 1
            except Refused:
                self._leaves_out = False
        return self._leaves_out

    def _first(self, section: Section) -> list[Listed]:
        path = f"/library/sections/{section.key}/all?type={KIND_NUMBER[TRACK]}"
        return [listed_of(element) for element in self._page(path, _window(0, 1)) if element.tag == "Track"]

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
                raise ServerError("This token may not edit the library: only the server's owner may.") from refusal
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
            return ServerError("This token may not use the library: only the server's owner may.")
        return ServerError(f"The Plex server answers {refusal.status} to {page[:60]}; does the library still exist?")


def in_batches(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    """`things` in runs of at most `size`."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def _page_of(keys: Sequence[int]) -> str:
    return f"/library/metadata/{','.join(map(str, keys))}"


def _window(start: int, size: int) -> dict[str, str]:
    return {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
