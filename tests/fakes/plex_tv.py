"""A plex.tv on loopback, as far as a login needs it: pins, the account, its servers with their addresses.

Shapes of the answers: the attributes that python-plexapi 4.18 reads of /api/v2/pins, /user and /resources.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

ACCOUNT_TOKEN = "acc0unt-t0ken_never-seen"
CODE = "7K2P"


class FakePlexTv:
    """The account and its servers; `with` starts and stops it."""

    def __init__(self) -> None:
        self.polls = 2  # how often the code is asked for before it is entered
        self.faults: list[int] = []  # the status of the next answers
        self.servers: list[str] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.url = ""
        self._http: ThreadingHTTPServer | None = None

    def add(self, name: str, machine: str, token: str, addresses: list[tuple[str, str]], **more: Any) -> None:
        """A server with addresses, each as ("local" | "remote" | "relay", uri)."""
        owned, https, ip = int(more.get("owned", True)), int(more.get("https", False)), more.get("ip", "127.0.0.1")
        shown = ""
        for place, uri in addresses:
            parts = urlsplit(uri)
            shown += (
                f'<connection protocol={quoteattr(parts.scheme)} address={quoteattr(ip)} port="{parts.port}" '
                f'uri={quoteattr(uri)} local="{int(place == "local")}" relay="{int(place == "relay")}" IPv6="0"/>'
            )
        self.servers.append(
            f'<resource name={quoteattr(name)} product="Plex Media Server" provides="server" '
            f'clientIdentifier="{machine}" accessToken="{token}" owned="{owned}" '
            f'httpsRequired="{https}" presence="1" home="0" relay="0" '
            f'createdAt="2016-01-02T03:04:05Z" lastSeenAt="2026-01-02T03:04:05Z"><connections>{shown}</connections>'
            "</resource>"
        )

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and XML for one request."""
        self.requests.append((method, path, headers))
        if self.faults:
            return self.faults.pop(0), f"refused {ACCOUNT_TOKEN}"
        if path == "/api/v2/pins" and method == "POST":
            return 201, f'<pin id="17" code="{CODE}" expiresIn="900" authToken=""/>'
        if path == "/api/v2/pins/17":
            self.polls -= 1
            return 200, f'<pin id="17" code="{CODE}" authToken="{ACCOUNT_TOKEN if self.polls < 0 else ""}"/>'
        if headers.get("X-Plex-Token") != ACCOUNT_TOKEN:
            return 401, f"bad token {headers.get('X-Plex-Token')}"
        if path == "/api/v2/user":
            return 200, (
                f'<user id="1" uuid="u" username="me" authToken="{ACCOUNT_TOKEN}" scrobbleTypes="" homeSize="1" '
                'maxHomeSize="15"><subscription active="0"/><profile/></user>'
            )
        if path == "/api/v2/resources":
            player = '<resource name="Phone" provides="client,player" clientIdentifier="p" owned="1"/>'
            return 200, f"<resources>{player}{''.join(self.servers)}</resources>"
        return 404, ""

    def __enter__(self) -> FakePlexTv:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                status, body = fake.answer(self.command, urlsplit(self.path).path, dict(self.headers))
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is logged."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()

    def stand_in(self, monkeypatch: Any) -> None:
        """Have plexapi ask this and not plex.tv."""
        from plexapi import myplex

        monkeypatch.setattr(myplex.MyPlexPinLogin, "PINS", f"{self.url}/api/v2/pins")
        until_4_16 = f"{self.url}/api/v2/pins/{{pinid}}"
        monkeypatch.setattr(myplex.MyPlexPinLogin, "CHECKPINS", until_4_16, raising=False)
        monkeypatch.setattr(myplex.MyPlexAccount, "key", f"{self.url}/api/v2/user")
        monkeypatch.setattr(myplex.MyPlexResource, "key", f"{self.url}/api/v2/resources?includeHttps=1")
