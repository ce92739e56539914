"""Who may talk to the server: one-time link, session cookie or token; Host, Origin and headers of every answer."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "reclass"
SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_BODY = 601_000_000  # bytes: a file to classify, and what names it
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Access:
    """The secrets of one server. A link is good once, unless its token was chosen by the user; the cookie that it
    gives is good until the server ends. Browsers send cookies to all ports of a host: `port` tells servers apart."""

    def __init__(self, token: str = "", hosts: Iterable[str] = (), port: int = 0) -> None:
        self._is_chosen = bool(token)
        self.token = token or secrets.token_urlsafe(24)
        self.cookie_name = f"{COOKIE}-{port}" if port else COOKIE
        self._session = secrets.token_urlsafe(32)
        self.hosts = frozenset(_name_of(host) for host in (*LOOPBACK, *hosts))
        self.on_used: Callable[[str], None] = lambda token: None  # gets the token of the next link

    def admits(self, token: str) -> bool:
        """Whether a link with this token opens the door; a one-time token is spent by it."""
        if not _same(token, self.token):
            return False
        if not self._is_chosen:
            self.token = secrets.token_urlsafe(24)
            self.on_used(self.token)
        return True

    def cookie(self) -> str:
        """The header that hands the session to a browser."""
        return f"{self.cookie_name}={self._session}; Path=/; HttpOnly; SameSite=Strict"

    def has_session(self, header: str) -> bool:
        """Whether the cookies of a request hold the session."""
        pairs = (part.strip().partition("=") for part in header.split(";"))  # those of other servers may be no cookies
        return any(name == self.cookie_name and _same(value, self._session) for name, _, value in pairs)

    def has_token(self, authorization: str) -> bool:
        """Whether a program names the token that the user chose."""
        kind, _, token = authorization.partition(" ")
        given = token.strip().encode("latin-1", "replace").decode("utf-8", "replace")  # headers come as latin-1
        return self._is_chosen and kind.casefold() == "bearer" and _same(given, self.token)

    def knows(self, host: str) -> bool:
        """Whether requests to this host are answered: a foreign name that resolves to this machine is an attack by DNS
        rebinding."""
        return bool(host) and _name_of(host) in self.hosts


def guarded(app: App, access: Access, sign_in: Callable[[], str]) -> App:
    """The application behind the checks; `sign_in` makes the page for somebody without a session."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await app(scope, receive, send)
            else:
                await send({"type": "websocket.close"})  # there are none
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                more = [(name, value) for name, value in HEADERS if name not in present]
                if b"cache-control" not in present:
                    more.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        taken = 0

        async def receive_some() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return {"type": "http.disconnect"} if taken > LARGEST_BODY else message  # of a body that said no length

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = _refusal(scope, headers, access)
        if refusal is None:
            await app(scope, receive_some, send_with_headers)
            return
        status, text, more = refusal
        is_page = not scope["path"].startswith("/api/") and scope["path"] != "/openapi.json" and status == 401
        body = sign_in() if is_page else "" if status == 303 else json.dumps({"detail": text})
        kind = "text/html; charset=utf-8" if is_page else "application/json"
        await send_with_headers(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode()), *more]}
        )
        await send_with_headers({"type": "http.response.body", "body": body.encode()})

    return guard


_Refusal = tuple[int, str, list[tuple[bytes, bytes]]]


def _refusal(scope: Scope, headers: dict[str, str], access: Access) -> _Refusal | None:
    """Why a request is not passed on: status, sentence, headers; None where it is."""
    host = headers.get("host", "")
    if not access.knows(host) or sum(name == b"host" for name, _ in scope["headers"]) > 1:
        return 421, "This server does not answer to that name; start it with --host NAME.", []
    if headers.get("content-length", "0").isdigit() and int(headers.get("content-length", "0")) > LARGEST_BODY:
        return 413, "This is larger than the server takes.", []
    if scope["path"].startswith("/static/"):
        return None
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    given = [value for name, value in query if name == "token"]
    if given and scope["method"] == "GET" and access.admits(given[0]):
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        path = quote("/" + scope["path"].lstrip("/"))  # never another host, nor another header
        target = path + (f"?{rest}" if rest else "")
        return 303, "", [(b"location", target.encode()), (b"set-cookie", access.cookie().encode())]
    if access.has_token(headers.get("authorization", "")):
        return None
    if not access.has_session(headers.get("cookie", "")):
        return 401, "Open the link that `reclass serve` printed, or send its --token as a bearer token.", []
    if scope["method"] not in SAFE:
        origin = urlsplit(headers.get("origin", ""))
        if origin.netloc.casefold() != host.casefold() or origin.scheme not in ("http", "https"):
            return 403, "A change must come from a page of this server.", []
    return None


def _name_of(host: str) -> str:
    """The name or address of a host as headers write it, in lower case, without port and final dot."""
    try:
        bare = host if host.count(":") > 1 and "[" not in host else urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
    return bare.casefold().rstrip(".")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))
