"""HTTP to one Plex server through plexapi: paced, retried, the token never shown."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from music_reclass import __version__
from music_reclass.errors import ServerError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from music_reclass.plex.login import Access

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
    """Something that may pass by itself; the words complete "the server at ... "."""

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
        access: Access,
        *,
        rate: float = 0.0,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = access.url
        self.count = 0
        self.sleep, self.clock = sleep, clock
        self._gap = 1.0 / rate if rate > 0 else 0.0
        self._free = 0.0  # when the next request may leave
        self._server = self._retried(lambda: _connected(access, timeout), "/", FIRST_DELAYS)

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
        self._retried(lambda: self._server.query(path, method=self._server._session.put), path)

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
        raise ServerError(f"the Plex server at {self.url} {words}; is it running, and is this its address?")

    def _attempt(self, send: Callable[[], Answer], page: str) -> Answer:
        from requests import exceptions as trouble

        try:
            return send()
        except Refused as refusal:
            if refusal.status == 401:
                raise ServerError(f"the Plex server at {self.url} does not accept the token.") from None
            if 300 <= refusal.status < 400:  # followed, the token would go to whoever is named there
                raise ServerError(f"{self.url} sends us on to another address; name that one instead.") from None
            if refusal.status in PASSING:
                raise _Trouble(f"keeps answering {refusal.status}", refusal.wait) from None
            raise
        except trouble.SSLError as error:
            raise ServerError(f"the certificate of {self.url} is not made for this address, or not trusted.") from error
        except trouble.Timeout as error:
            raise _Trouble("does not answer in time") from error
        except (trouble.ConnectionError, trouble.ChunkedEncodingError, trouble.ContentDecodingError) as error:
            raise _Trouble("cannot be reached") from error
        except SyntaxError as error:  # xml.etree's ParseError is one
            raise ServerError(f"what answers at {self.url}{page} is not a Plex server.") from error

    def _pace(self) -> None:
        self.count += 1
        if self._gap:
            now = self.clock()
            if now < self._free:
                self.sleep(self._free - now)
            self._free = max(now, self._free) + self._gap


def _connected(access: Access, timeout: float) -> Any:
    import requests

    session = requests.Session()
    session.hooks["response"].append(_refuse)
    with _own_settings():
        from plexapi import server

        make: Any = server.PlexServer
        return make(access.url, access.token.reveal(), session=session, timeout=max(timeout, 0.1))


def _refuse(response: Any, *_: object, **__: object) -> None:
    """Before the client library makes a message of it, which would repeat the address and the server's words."""
    if response.status_code in SUCCESS:
        return
    after = response.headers.get("Retry-After", "")
    response.close()
    raise Refused(response.status_code, float(after) if after.isdigit() else 0.0)


@contextmanager
def _own_settings() -> Iterator[None]:
    """plexapi without the user's plexapi settings: they can put the token into every address, or log to a file."""
    mine = {
        "PLEXAPI_CONFIG_PATH": os.devnull,
        "PLEXAPI_PLEXAPI_AUTORELOAD": "0",
        "PLEXAPI_HEADER_PRODUCT": "reclass",
        "PLEXAPI_HEADER_VERSION": __version__,
    }
    theirs = {name: value for name, value in os.environ.items() if name.startswith("PLEXAPI_")}
    for name in theirs:
        del os.environ[name]
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)
        os.environ.update(theirs)
