"""Requests to one Plex server: paced and retried through plexapi; what is asked of a library, and what is edited."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, quote_plus, urlsplit

from music_reclass import __version__
from music_reclass.errors import NothingToDo, ServerError, UsageError
from music_reclass.plex.model import ALBUM, ARTIST, TRACK, carries_genres, item_of, listed_of, section_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from music_reclass.config import Secret
    from music_reclass.plex.model import Item, Listed, Section

HOW = "reclass plex login gets one; or set RECLASS_PLEX_TOKEN, or plex_token_file in config.toml (docs/how-to/plex.md)."
DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before each further attempt; together a minute, what a restart of the server may take."""

FIRST_DELAYS = DELAYS[:2]  # a server that was never reached is more likely misspelt than restarting
PATIENCE = 60.0  # seconds a server may ask us to wait
SUCCESS = (200, 201, 204)
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
BUSY = frozenset({429, 503})  # the server asks for fewer requests
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between requests to a busy server
NO_OWNER = (
    "This token is of a shared or managed user of the Plex server, who sees no files and may change nothing: "
    "log in as its owner (reclass plex login)."
)
Answer = TypeVar("Answer")


class Refused(Exception):
    """The server answered with a status that is no success. `wait`: the seconds its Retry-After asks for."""

    def __init__(self, status: int, wait: float = 0.0) -> None:
        super().__init__(status)
        self.status = status
        self.wait = wait


class _Trouble(Exception):
    """A fault that may pass by itself; `words` complete "the server at ... "."""

    def __init__(self, words: str, wait: float = 0.0, status: int = 0) -> None:
        super().__init__(words)
        self.wait, self.status = wait, status


class Client:
    """Asks one server, one request at a time over a kept connection; `count`: the requests sent, repeated ones too.

    `name`: what its owner calls the server; `machine`: its name among all others, which survives moves.

    Every method raises Refused for a refusal that concerns this request, ServerError where the server cannot be
    used at all. `rate`: requests a second, 0 for no limit; it holds for edits, and for reads of a server that is not
    in this network. A server that answers 429 or 503 is asked less often until it answers again.
    """

    def __init__(
        self,
        url: str,
        token: Secret,
        *,
        identifier: str = "",
        rate: float = 0.0,
        timeout: float = 30.0,
        log: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        import requests

        self.url = url
        self.count = 0
        self.sleep, self.clock = sleep, clock
        self._log, self._has_token = log, bool(token)
        self._gap = 1.0 / rate if rate > 0 else 0.0
        self._read_gap = 0.0 if not rate or is_local(url) else self._gap
        self._pause = 0.0  # between requests, while the server is busy
        self._sent = self._edited = float("-inf")  # when the last request left, and the last edit
        self._session = requests.Session()
        self._session.hooks["response"].append(_refuse)
        with without_user_settings(identifier):
            from plexapi import server

            make: Any = server.PlexServer
            options = {"session": self._session, "timeout": max(timeout, 0.1)}
            try:
                self._server = self._retried(lambda: make(url, token.reveal() or None, **options), "/", is_first=True)
            except Refused as refusal:
                what = f"What answers at {url} is not a Plex server, or lets nobody in"
                raise ServerError(f"{what} (status {refusal.status}).") from None
        self.machine = str(getattr(self._server, "machineIdentifier", "") or "")
        if not self.machine:
            raise ServerError(f"What answers at {url} is not a Plex server.")
        self.name = str(self._server.friendlyName or "")
        self.version = str(self._server.version or "unknown")

    def get(self, path: str, headers: dict[str, str] | None = None) -> Element:
        """The XML of one page; that of an empty page where the answer is empty. ServerError for the page of a proxy."""
        from xml.etree.ElementTree import Element

        answer: Element | None = self._retried(lambda: self._server.query(path, headers=headers or {}), path)
        if answer is not None and answer.tag != "MediaContainer":
            raise ServerError(f"What answers at {self.url}{urlsplit(path).path[:60]} is not a Plex server.")
        return Element("MediaContainer") if answer is None else answer

    def put(self, path: str) -> None:
        """Send one edit. Whatever we send may be sent again: it names the state wanted, not a step."""
        self._retried(lambda: self._server.query(path, method=self._session.put), path, is_edit=True)

    def _retried(
        self, send: Callable[[], Answer], path: str, *, is_edit: bool = False, is_first: bool = False
    ) -> Answer:
        page = urlsplit(path).path
        for attempt in range(len(DELAYS) + 1):
            self._pace(is_edit)
            try:
                answer = self._attempt(send, page, is_edit)
            except _Trouble as error:
                trouble = error
            else:
                self._pause = self._pause * 0.8 if self._pause > FIRST_PAUSE / 10 else 0.0
                return answer
            if trouble.status in BUSY and not is_first:
                self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
            delays = FIRST_DELAYS if is_first and trouble.status != 503 else DELAYS
            if attempt == len(delays):
                break
            if attempt == 0 and trouble.status == 503:
                self._log(f"The Plex server at {self.url} is starting or under maintenance: waiting up to a minute.")
            self.sleep(max(delays[attempt], min(trouble.wait, PATIENCE)))
        cure = self._cure() if is_first and not trouble.status else "is it running?"
        raise ServerError(f"The Plex server at {self.url} {trouble}; {cure}")

    def _attempt(self, send: Callable[[], Answer], page: str, is_edit: bool) -> Answer:
        from requests import exceptions as trouble

        try:
            return send()
        except Refused as refusal:
            if refusal.status == 401 and not self._has_token:
                raise UsageError(f"There is no token, and the Plex server at {self.url} wants one: {HOW}") from None
            if refusal.status == 401 and not is_edit:
                raise ServerError(
                    f"The Plex server at {self.url} does not accept the token: it is not of this server, was revoked "
                    "or has expired; reclass plex login gets a new one."
                ) from None
            if 300 <= refusal.status < 400:  # followed, the token would go to whoever is named there
                raise ServerError(f"{self.url} sends us on to another address; name that one instead.") from None
            if refusal.status in PASSING:
                raise _Trouble(f"keeps answering {refusal.status}", refusal.wait, refusal.status) from None
            raise
        except trouble.SSLError as error:
            if "CERTIFICATE" not in str(error).upper():
                raise ServerError(f"What answers at {self.url} does not speak https; try http://.") from error
            cure = self._cure(reached=True)
            raise ServerError(f"The certificate of {self.url} is not made for it, or not trusted; {cure}") from error
        except trouble.Timeout as error:
            raise _Trouble("does not answer in time") from error
        except (trouble.ConnectionError, trouble.ChunkedEncodingError, trouble.ContentDecodingError) as error:
            raise _Trouble("cannot be reached") from error
        except SyntaxError as error:  # xml.etree's ParseError is one
            raise ServerError(f"What answers at {self.url}{page} is not a Plex server.") from error

    def _cure(self, *, reached: bool = False) -> str:
        """What helps where nothing answers at the address, or a certificate does not fit."""
        if (urlsplit(self.url).hostname or "").endswith(".plex.direct"):
            if reached:
                return "are the clock and the certificates of this machine right?"
            return "some routers do not resolve names in plex.direct: look for rebinding protection there."
        address = secure_address(self.url)
        if address:
            return f"it has a certificate for another address, which you can set as plex_url: {address}"
        return "is it running, and is this its address? reclass plex login finds it."

    def _pace(self, is_edit: bool) -> None:
        """Wait until a request may leave; what is read between two edits does not put off the second."""
        self.count += 1
        free = self._sent + max(self._read_gap, self._pause)
        if is_edit:
            free = max(free, self._edited + self._gap)
        now = self.clock()
        if now < free:
            self.sleep(free - now)
        self._sent = max(now, free)
        if is_edit:
            self._edited = self._sent


def is_local(url: str) -> bool:
    """Whether an address leads to a machine in this network, as far as its name can be resolved."""
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None)
        return all(not ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_global for one in found)
    except (OSError, ValueError):
        return False


def secure_address(url: str) -> str:
    """The https address for which the certificate of a server is made (`*.HASH.plex.direct`); "" where it is not so.

    A name in plex.direct begins with the IP address to which it resolves, with dashes.
    """
    parts = urlsplit(url)
    place = (parts.hostname or "", parts.port or 32400)
    try:
        certificate = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(place, timeout=5.0))
        number = str(socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, ValueError):
        return ""
    found = _PLEX_DIRECT.search(certificate)
    return f"https://{re.sub('[.:]', '-', number)}.{found[1].decode()}:{place[1]}" if found else ""


_PLEX_DIRECT = re.compile(rb"\*\.([0-9a-f]+\.plex\.direct)")


def _refuse(response: Any, *_: object, **__: object) -> None:
    """Raise before plexapi makes a message of it, which would repeat the address and the server's words."""
    if response.status_code in SUCCESS:
        return
    after = response.headers.get("Retry-After", "")
    response.close()
    raise Refused(response.status_code, float(after) if after.isdigit() else 0.0)


@contextmanager
def without_user_settings(identifier: str) -> Iterator[None]:
    """plexapi without the user's plexapi settings: they can put the token into every address, or log to a file.

    Requests name `identifier` as the program that sends them; plexapi would send the MAC address of the machine.
    """
    ours = {
        "PLEXAPI_CONFIG_PATH": os.devnull,
        "PLEXAPI_PLEXAPI_AUTORELOAD": "0",
        "PLEXAPI_HEADER_IDENTIFIER": "reclass",
    }
    users = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PLEXAPI_")}
    os.environ.update(ours)
    try:
        import plexapi

        plexapi.BASE_HEADERS |= {
            "X-Plex-Product": "reclass",
            "X-Plex-Version": __version__,
            "X-Plex-Client-Identifier": identifier or "reclass",
        }
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
TOO_LONG = frozenset({413, 414, 431})  # an address
TOO_MUCH = frozenset({400, 404}) | TOO_LONG  # may mean "too many at once", or that one of them is gone


class Server:
    """One server. Methods raise ServerError where it cannot be used; `Refused` only where they say so."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._most = READ_TOGETHER
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
        return carries_genres(self._page(path, _window(0, 0)), level)

    def tracks(self, section: Section) -> Iterator[Listed]:
        """All tracks of a library, page by page: each page is asked for once, however long the library is."""
        start, total = 0, 1
        while start < total:
            found, size, total = self._listing(section, start, PAGE)
            yield from found
            start += size
            if not size:
                return

    def names(self, section: Section, field: str, level: str) -> tuple[str, ...]:
        """What items of this level hold in a field (genre, style) anywhere in the library, as the server spells it."""
        try:
            page = self.client.get(f"/library/sections/{section.key}/{field}?type={KIND_NUMBER[level]}")
        except Refused:  # an older server has no list for this level
            return ()
        return tuple(title for one in page if (title := one.attrib.get("title")))

    def sample(self, section: Section, count: int) -> list[Listed]:
        """About `count` tracks of a library from all over it, by at most ten requests."""
        size = max(1, count // 10)
        found, _, total = self._listing(section, 0, size)
        if total > size:
            for start in dict.fromkeys(number * total // 10 for number in range(1, 10)):
                found += self._listing(section, start, size)[0]
        return list({one.key: one for one in found}.values())

    def _listing(self, section: Section, start: int, size: int) -> tuple[list[Listed], int, int]:
        """The tracks on one page of a listing, how many items it has, and how many the library has."""
        page = self._page(f"/library/sections/{section.key}/all?type={KIND_NUMBER[TRACK]}", _window(start, size))
        total = page.attrib.get("totalSize", "")
        known = int(total) if total.isdigit() else start + len(page) + (len(page) >= size)
        return [listed_of(element) for element in page if element.tag == "Track"], len(page), known

    def items(self, keys: Iterable[int]) -> dict[int, Item]:
        """The whole items with these keys, in that order, by key; those that are gone are left out."""
        wanted = list(keys)
        found: dict[int, Item] = {}
        for batch in in_batches(wanted, self._most):
            found |= {item.key: item for item in self._together(batch)}
            self._known = next(iter(found), self._known)
        return {key: found[key] for key in wanted if key in found}

    def _together(self, keys: Sequence[int]) -> list[Item]:
        path, read = _page_of(keys), self.client.clock()
        try:
            page = self.client.get(path, _window(0, len(keys)))
        except Refused as refusal:
            if refusal.status not in TOO_MUCH:
                raise _unusable(refusal, path) from refusal
            if len(keys) == 1 or (refusal.status == 404 and self._leaves_out_gone(keys[0])):
                return []
            half = len(keys) // 2
            if refusal.status in TOO_LONG:
                self._most = min(self._most, half)
            return self._together(keys[:half]) + self._together(keys[half:])
        if not page.attrib:  # whatever went wrong there, it does not say that the items are gone
            raise ServerError(f"The Plex server at {self.client.url} answers nothing where items were asked for.")
        return [item for one in page if (item := item_of(one, read)) is not None]

    def _leaves_out_gone(self, key: int) -> bool:
        """Whether a 404 for several items, of which `key` is one, says that all of them are gone: so it is where an
        answer leaves out what is gone, and not where one item that is gone spoils it. The server is asked once."""
        if self._leaves_out is None:
            listed = (self._listing(one, 0, 1)[0] for one in self.sections() if one.is_music)
            known = self._known or next((first[0].key for first in listed if first), 0)
            try:
                self._leaves_out = len(self.client.get(_page_of([known, key]), _window(0, 2))) == 1
            except Refused:
                self._leaves_out = False
        return self._leaves_out

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
            if refusal.status in (401, 403):
                raise ServerError(NO_OWNER) from refusal
            raise

    def look_into(self, section: Section, folder: str) -> None:
        """Have the server look for changed files in one of its folders."""
        self._page(f"/library/sections/{section.key}/refresh?path={quote_plus(folder)}")

    def scanned_now(self) -> set[str]:
        """The numbers of the libraries that are being scanned, "" for one that is not named; none if we may not ask."""
        try:
            page = self.client.get("/activities")
        except Refused:
            return set()
        found = [one for one in page if one.attrib.get("type") == "library.update.section"]
        return {next((context.attrib.get("librarySectionID", "") for context in one), "") for one in found}

    def _page(self, path: str, headers: dict[str, str] | None = None) -> Element:
        try:
            return self.client.get(path, headers)
        except Refused as refusal:
            raise _unusable(refusal, path) from refusal


def _unusable(refusal: Refused, path: str) -> ServerError:
    if refusal.status == 403:
        return ServerError(NO_OWNER)
    page = path.partition("?")[0]
    return ServerError(f"The Plex server answers {refusal.status} to {page[:60]}; does the library still exist?")


def in_batches(things: Sequence[Thing], size: int) -> Iterator[Sequence[Thing]]:
    """`things` in runs of at most `size`."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def _page_of(keys: Sequence[int]) -> str:
    """Where items are read; without the words behind, the server refreshes what it knows of each item from its file."""
    return f"/library/metadata/{','.join(map(str, keys))}?skipRefresh=1&skipChildRefresh=1"


def _window(start: int, size: int) -> dict[str, str]:
    return {"X-Plex-Container-Start": str(start), "X-Plex-Container-Size": str(size)}
