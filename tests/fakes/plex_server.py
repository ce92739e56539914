"""A Plex server on loopback: real HTTP, the XML that python-plexapi parses, every behaviour F1-F16 switchable.

| id  | switch                                                                                           |
|-----|--------------------------------------------------------------------------------------------------|
| F1  | always: a listing shows at most two genres and no locks                                          |
| F2  | `replaces`, `removes_first`: what a PUT of tags means                                            |
| F3  | always: a bad token gets 401                                                                     |
| F4  | `longest_query`, `too_long_status`: 414 or 400 for longer queries                                |
| F5  | `faults`: what happens to the next requests: a status, "drop", "hang", "page", "nothing", ...     |
| F6  | always: the value of `tag-` is split at the comma, then unquoted                                 |
| F7  | always: no type 400, unknown id 404; without id everything would change: counted in `unbounded`  |
| F8  | `refresh_metadata()` reads the embedded genres again where nothing is locked                     |
| F9  | always: paging by header and by query                                                            |
| F10 | `track_genres`: whether the description of the library lists track.genre                         |
| F11 | `requests`: all that were answered or broken off                                                 |
| F12 | always: /all without type gives artists                                                          |
| F13 | tracks may have several parts, Windows paths, NFD names: they are plain strings here             |
| F14 | `before_put`: called before a PUT takes effect, e.g. to let a user edit                          |
| F15 | `Thing.locked`: fields that a user locked                                                        |
| F16 | `TOKEN` is what must never be seen outside the header                                            |
| F17 | `queued_polls`, `scan_polls`: a refresh is only queued, then scans; `on_refresh` when it is done  |
| F18 | `scan_shows`: whether a scan shows as "refreshing" or in /activities only; `other_scan_polls`     |
| F19 | `shared_status`: the token is of a shared user: no files, this status for every PUT               |
| F20 | `token`: what is accepted, e.g. a JWT of 900 characters; "" for a server that wants none          |
| F21 | `tls`: certificate and key; then http is not answered ("Secure connections: Required")            |
| F22 | `item_refreshes`: items read without skipRefresh, which makes a real server refresh each          |
| F23 | `read_seconds`, `edit_seconds`: what a request takes, and each item of it; `spent` counts them      |
| F24 | `match_anew()`, `number_anew()`: other guids, other numbers                                       |
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import quoteattr

TOKEN = "fAke-t0ken_never-seen"
SECTION = 5
KINDS = {8: "artist", 9: "album", 10: "track"}
FIELDS = {"genre": "Genre", "style": "Style", "label": "Label", "mood": "Mood"}


@dataclass
class Thing:
    """A track, album or artist."""

    key: int
    kind: str
    title: str
    parent: int = 0
    files: list[str] = field(default_factory=list)
    seconds: float = 180.0
    embedded: list[str] = field(default_factory=list)
    tags: dict[str, list[str]] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    guid: str = ""
    artist: str = ""  # of a track, where it is not that of its album

    @property
    def genres(self) -> list[str]:
        return self.tags.get("genre", [])


@dataclass
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: list[tuple[str, str]]
    target: str
    window: tuple[int, int] | None = None
    headers: dict[str, str] = field(default_factory=dict)


class FakePlex:
    """The state of a server and its switches; `with` starts and stops it, `restart()` does both."""

    def __init__(self, machine: str = "machine-1") -> None:
        self.machine = machine
        self.things: dict[int, Thing] = {}
        self.locations = ["/data/music"]
        self.kind = "artist"
        self.title = "Music"
        self.more_sections = ""
        self.replaces = False
        self.removes_first = False
        self.longest_query = 10**9
        self.too_long_status = 414
        self.faults: list[Any] = []
        self.track_genres = True
        self.shows_locks_together = True
        self.whole_404 = False  # whether one missing item spoils a request for many
        self.loses_edits = 0  # so many PUTs are answered 200 and forgotten
        self.refused_keys: dict[int, int] = {}  # key -> status of a PUT that holds it
        self.before_put: Callable[[list[int]], None] = lambda keys: None
        self.after_put: Callable[[int], None] = lambda number: None
        self.requests: list[Request] = []
        self.read_seconds = self.edit_seconds = (0.0, 0.0)
        self.spent = 0.0
        self.puts = 0
        self.unbounded = 0
        self.refreshed: list[str] = []
        self.on_refresh: Callable[[str], None] = lambda path: None
        self.queued_polls = self.scan_polls = self.other_scan_polls = 0
        self.scan_shows = "refreshing"
        self.activities_status = 200
        self.scanned_at = 1605409122
        self._scan: list[int] = []  # polls that a scan is still queued, and then runs
        self.shared_status = 0
        self.token = TOKEN
        self.tls: tuple[str, str] | None = None
        self.item_refreshes = 0
        self.opened = 0  # connections
        self.tokens_in_addresses = 0
        self.port = 0
        self._http: ThreadingHTTPServer | None = None
        self._fixed: dict[int, str] = {}
        self.connections: set[socket.socket] = set()

    # --- what is in it ---------------------------------------------------------------------------------------

    def add(self, kind: str, title: str, parent: int = 0, **more: Any) -> Thing:
        """One more artist, album or track."""
        key = len(self.things) + 100
        thing = Thing(key, kind, title, parent, guid=f"local://{key}" if kind == "track" else f"plex://{kind}/{key}")
        for name, value in more.items():
            if name in ("genres", "styles", "labels"):
                thing.tags[name[:-1]] = list(value)
            else:
                setattr(thing, name, value)
        self.things[key] = thing
        return thing

    def album(self, artist: str, album: str, count: int, root: str = "/data/music", **more: Any) -> list[Thing]:
        """An artist with one album of `count` tracks, their files below `root`."""
        above = self.add("album", album, self.add("artist", artist).key)
        return [
            self.add(
                "track", f"Tune {n}", above.key, files=[f"{root}/{artist}/{album}/{n:02} Tune {n}.mp3"],
                **{name: list(value) if isinstance(value, list) else value for name, value in more.items()},
            )
            for n in range(1, count + 1)
        ]  # fmt: skip

    def tracks(self) -> list[Thing]:
        """All tracks."""
        return [thing for thing in self.things.values() if thing.kind == "track"]

    def state(self) -> dict[int, Any]:
        """Tags and locks of everything, to compare; tags as sets, as their order is the server's affair."""
        return {
            thing.key: ({name: frozenset(tags) for name, tags in thing.tags.items() if tags}, frozenset(thing.locked))
            for thing in self.things.values()
        }

    def refresh_metadata(self) -> None:
        """What the server does at night: embedded genres replace those of every unlocked track."""
        for thing in self.tracks():
            if "genre" not in thing.locked:
                thing.tags["genre"] = list(thing.embedded)

    def match_anew(self, key: int) -> None:
        """What the server does when it finds out what a track is: another guid, all else as it was."""
        self.things[key].guid = f"plex://track/5d07cd{key:018x}"
        self._fixed.clear()

    def number_anew(self, *, swapped: bool = False) -> None:
        """The library is made anew from the same folders: other numbers, `swapped` those of other items; a track that
        the server does not know has its number as guid."""
        numbers = {key: key + 1000 for key in self.things}
        if swapped:
            numbers = dict(zip(self.things, reversed(self.things), strict=True))
        for thing in self.things.values():
            thing.key, thing.parent = numbers[thing.key], numbers.get(thing.parent, 0)
            if thing.guid.startswith("local:"):
                thing.guid = f"local://{thing.key}"
        self.things = {thing.key: thing for thing in sorted(self.things.values(), key=lambda thing: thing.key)}
        self._fixed.clear()

    # --- life ------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def url_is_down(self) -> bool:
        return self._http is None

    def __enter__(self) -> FakePlex:
        fake = self

        class Handler(_Handler):
            plex = fake

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = True
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    # --- answers ---------------------------------------------------------------------------------------------

    def answer(self, request: Request, window: tuple[int, int] | None) -> tuple[int, str]:
        """Status and XML for one request."""
        parts = request.path.strip("/").split("/")
        if len(request.target.partition("?")[2]) > self.longest_query:
            return self.too_long_status, ""
        if request.path == "/activities":
            return self.activities_status, self._activities()
        if request.path in ("/", "/identity"):
            return 200, (
                f'<MediaContainer friendlyName="Fake" machineIdentifier="{self.machine}" version="1.41.0.1-fake"/>'
            )
        if request.path.rstrip("/") == "/library/sections":
            return 200, self._sections()
        if parts[:2] == ["library", "metadata"] and len(parts) == 3:
            keys = [int(key) for key in parts[2].split(",")]
            if dict(request.query).get("skipRefresh") != "1":
                self.item_refreshes += len(keys)
            return self._metadata(keys)
        if parts[:2] == ["library", "sections"] and len(parts) == 4 and parts[2] == str(SECTION):
            if parts[3] == "all":
                return self._edit(request) if request.method == "PUT" else self._all(dict(request.query), window)
            if parts[3] in ("genre", "style"):
                return self._names(parts[3], dict(request.query))
            if parts[3] == "refresh":
                path = dict(request.query).get("path", "")
                self.refreshed.append(path)
                self._scan = [self.queued_polls, self.scan_polls]
                if not self.queued_polls + self.scan_polls:
                    self._end_scan()
                return 200, ""
        return 404, ""

    def spend(self, request: Request, window: tuple[int, int] | None) -> None:
        """Let the time pass that an answer takes; nobody waits for it."""
        first, each = self.edit_seconds if request.method == "PUT" else self.read_seconds
        named = dict(request.query).get("id", request.path.rpartition("/")[2]).split(",")
        listed = min(window[1], len(self.things)) if window is not None and request.path.endswith("/all") else 0
        self.spent += first + each * max(listed, len(named) if named[0].isdigit() else 0)

    def _sections(self) -> str:
        self._poll()
        busy = bool(self._scan) and not self._scan[0] and self.scan_shows == "refreshing"
        places = "".join(f"<Location id='{n}' path={quoteattr(path)}/>" for n, path in enumerate(self.locations))
        return (
            f'<MediaContainer size="1"><Directory key="{SECTION}" type="{self.kind}" title={quoteattr(self.title)} '
            f'refreshing="{int(busy)}" scannedAt="{self.scanned_at}" scanner="Plex Music" language="en" uuid="u">'
            f"{places}</Directory>"
            f"{self.more_sections}</MediaContainer>"
        )

    def _poll(self) -> None:
        """Time passes for a scan: first it is queued, then it runs, and then what it has found is there."""
        self.other_scan_polls -= self.other_scan_polls > 0
        if not self._scan:
            return
        if self._scan[0]:
            self._scan[0] -= 1
        elif self._scan[1]:
            self._scan[1] -= 1
        else:
            self._end_scan()

    def _end_scan(self) -> None:
        self._scan = []
        self.scanned_at += 1
        self.on_refresh(self.refreshed[-1])

    def _activities(self) -> str:
        is_running = bool(self._scan) and not self._scan[0] and self.scan_shows != "nowhere"
        running = [SECTION] * is_running + [99] * bool(self.other_scan_polls)
        shown = "".join(
            f'<Activity uuid="u{key}" type="library.update.section" cancellable="1" userID="1" title="Scanning" '
            f'subtitle="x" progress="5"><Context librarySectionID="{key}"/></Activity>'
            for key in running
        )
        return f'<MediaContainer size="{len(running)}">{shown}</MediaContainer>'

    def _all(self, query: dict[str, str], window: tuple[int, int] | None) -> tuple[int, str]:
        kind = KINDS.get(int(query.get("type", "8")), "artist")
        found = [thing for thing in self.things.values() if thing.kind == kind]
        start, size = window if window is not None else (0, len(found))
        meta = ""
        if query.get("includeMeta"):
            fields = {"artist": True, "album": True, "track": self.track_genres}
            meta = "<Meta>" + "".join(
                f'<Type type="{name}"><Field key="{name}.userRating" type="integer"/>'
                + (f'<Field key="{name}.genre" type="tag"/>' if has else "")
                + "</Type>"
                for name, has in fields.items()
            ) + "</Meta>"  # fmt: skip
        shown = found[start : start + size]
        body = "".join(self._element(thing, partial=True) for thing in shown)
        return 200, (
            f'<MediaContainer size="{len(shown)}" totalSize="{len(found)}" offset="{start}" '
            f'librarySectionID="{SECTION}">{meta}{body}</MediaContainer>'
        )

    def _names(self, field: str, query: dict[str, str]) -> tuple[int, str]:
        """The tags that things of a type hold, in the form of recorded servers."""
        kind = KINDS[int(query["type"])]
        if kind == "track" and not self.track_genres:
            return 400, ""
        held = {tag for thing in self.things.values() if thing.kind == kind for tag in thing.tags.get(field, [])}
        shown = "".join(
            f'<Directory fastKey="/library/sections/{SECTION}/all?{field}={n}" key="{n}" title={quoteattr(tag)} '
            f'type="{field}"/>'
            for n, tag in enumerate(sorted(held))
        )
        return 200, f'<MediaContainer size="{len(held)}" viewGroup="secondary">{shown}</MediaContainer>'

    def _metadata(self, keys: list[int]) -> tuple[int, str]:
        found = [self.things[key] for key in keys if key in self.things]
        if not found or (self.whole_404 and len(found) < len(keys)):
            return 404, ""
        locks = self.shows_locks_together or len(keys) == 1
        body = "".join(self._element(thing, partial=False, locks=locks) for thing in found)
        return 200, f'<MediaContainer size="{len(found)}" librarySectionID="{SECTION}">{body}</MediaContainer>'

    def _element(self, thing: Thing, *, partial: bool, locks: bool = True) -> str:
        head = self._fixed.get(thing.key)
        if head is None:
            head = self._fixed[thing.key] = self._head(thing)
        tags = [
            f"<{FIELDS[name]} tag={quoteattr(tag)}/>"
            for name, values in thing.tags.items()
            for tag in (values[:2] if partial else values)
        ]
        if not partial and locks:
            tags += [f'<Field locked="1" name="{name}"/>' for name in sorted(thing.locked)]
        return head + "".join(tags) + ("</Track>" if thing.kind == "track" else "</Directory>")

    def _head(self, thing: Thing) -> str:
        above = [self.things[thing.parent]] if thing.parent else []
        if above and above[0].parent:
            above.append(self.things[above[0].parent])
        named = "".join(
            f'{prefix}RatingKey="{one.key}" {prefix}Title={quoteattr(one.title)} '
            for prefix, one in zip(("parent", "grandparent"), above, strict=False)
        )
        media = "".join(
            f'<Media id="{n}"><Part id="{n}"{self._file(path)}/></Media>' for n, path in enumerate(thing.files)
        )
        return (
            f'<{"Track" if thing.kind == "track" else "Directory"} ratingKey="{thing.key}" '
            f'key="/library/metadata/{thing.key}" guid="{thing.guid}" type="{thing.kind}" {named}'
            f"{f'originalTitle={quoteattr(thing.artist)} ' if thing.artist else ''}"
            f'title={quoteattr(thing.title)} duration="{int(thing.seconds * 1000)}" '
            f'librarySectionID="{SECTION}">{media}'
        )

    def _file(self, path: str) -> str:
        return "" if self.shared_status else f" file={quoteattr(path)}"

    def _edit(self, request: Request) -> tuple[int, str]:
        query = dict(request.query)
        if self.shared_status:
            return self.shared_status, ""
        if int(query.get("type", "0")) not in KINDS:
            return 400, ""
        if "id" not in query:
            self.unbounded += 1
            return 200, ""
        keys = [int(key) for key in query["id"].split(",")]
        for key in keys:
            if key in self.refused_keys:
                return self.refused_keys[key], ""
            if key not in self.things or self.things[key].kind != KINDS[int(query["type"])]:
                return 404, ""
        self.before_put(keys)
        if self.loses_edits:
            self.loses_edits -= 1
            return 200, ""
        for key in keys:
            self._apply(self.things[key], request.query)
        self.puts += 1
        return 200, ""

    def _apply(self, thing: Thing, query: list[tuple[str, str]]) -> None:
        for name in FIELDS:
            added = [value for key, value in query if key.startswith(f"{name}[") and key.endswith("].tag.tag")]
            minus = [value for key, value in query if key == f"{name}[].tag.tag-"]
            removed = {unquote(tag).casefold() for value in minus for tag in value.split(",")}
            had = list(thing.tags.get(name, []))
            if added and self.replaces:
                had = []
            if self.removes_first:
                had = [tag for tag in had if tag.casefold() not in removed]
            for tag in added:
                if tag.casefold() not in {one.casefold() for one in had}:
                    had.append(tag)
            if not self.removes_first:
                had = [tag for tag in had if tag.casefold() not in removed]
            if added or minus:
                thing.tags[name] = had
            lock = dict(query).get(f"{name}.locked")
            if lock is not None:
                (thing.locked.add if lock == "1" else thing.locked.discard)(name)


class _Handler(BaseHTTPRequestHandler):
    plex: FakePlex
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.plex.opened += 1
        self.plex.connections.add(self.connection)

    def finish(self) -> None:
        self.plex.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def _handle(self) -> None:
        plex = self.plex
        address = urlsplit(self.path)
        query = parse_qsl(address.query, keep_blank_values=True)
        request = Request(self.command, address.path, query, self.path, self._window(dict(query)), dict(self.headers))
        plex.requests.append(request)
        plex.spend(request, request.window)
        plex.tokens_in_addresses += bool(plex.token) and plex.token in self.path
        fault = plex.faults.pop(0) if plex.faults else None
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "hang":
            time.sleep(0.6)
            self.close_connection = True
            return
        extra = ""
        if isinstance(fault, tuple):
            status, body, extra = 429, "", f"Retry-After: {fault[1]}\r\n"
        elif fault == "html":
            status, body = 200, "<html><p>Sign in<br></html>"
        elif fault in ("page", "nothing"):  # of a proxy
            status, body = 200, "<html><p>Sign in</p></html>" if fault == "page" else ""
        elif fault == "redirect":
            status, body, extra = 302, "", f"Location: http://127.0.0.1:{plex.port}/elsewhere\r\n"
        elif isinstance(fault, int):
            status, body = fault, f"refused {TOKEN}"
        elif plex.token and address.path != "/identity" and not self._is_known(dict(query)):
            status, body = 401, f"bad token {self.headers.get('X-Plex-Token')}"
        else:
            status, body = plex.answer(request, request.window)
        data = body.encode()
        head = (
            f"HTTP/1.1 {status} Status\r\nContent-Type: text/xml;charset=utf-8\r\n{extra}"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        with suppress(OSError):  # the client may have gone: it was killed, or lost patience
            self.wfile.write(head.encode() + data)
        if request.method == "PUT" and status == 200:
            plex.after_put(plex.puts)

    def _is_known(self, query: dict[str, str]) -> bool:
        return self.plex.token in (self.headers.get("X-Plex-Token"), query.get("X-Plex-Token"))

    def _window(self, query: dict[str, str]) -> tuple[int, int] | None:
        start, size = (
            query.get(f"X-Plex-Container-{name}", self.headers.get(f"X-Plex-Container-{name}"))
            for name in ("Start", "Size")
        )
        return None if size is None else (int(start or 0), int(size))


def semantics() -> Iterator[tuple[bool, bool]]:
    """All that F2 can be: (replaces, removes_first)."""
    for replaces in (False, True):
        for removes_first in (False, True):
            yield replaces, removes_first
