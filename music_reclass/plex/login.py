"""Which Plex server, and with which token: from settings, the environment or a token file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from music_reclass.config import Secret, open_to_others
from music_reclass.errors import UsageError
from music_reclass.plex.http import Client, Server

if TYPE_CHECKING:
    from music_reclass.config import Settings

HOW = (
    "set RECLASS_PLEX_URL (http://ADDRESS:32400) and RECLASS_PLEX_TOKEN, or plex_url and plex_token_file in"
    " config.toml; docs/how-to/plex.md says where to find the token."
)
_TOKEN = re.compile(r"[!-~]{1,512}")  # what a header can carry; the HTTP library repeats a bad header in its error


def url_and_token(settings: Settings, environment: Mapping[str, str] = os.environ) -> tuple[str, Secret]:
    """Address and token: the settings (RECLASS_PLEX_*, config.toml) before PLEX_URL and PLEX_TOKEN; UsageError if none.

    A token file beats a token in config.toml or the environment: whoever names one means it.
    """
    return _url(settings.plex_url or environment.get("PLEX_URL", "")), _checked(_token(settings, environment))


def _token(settings: Settings, environment: Mapping[str, str]) -> str:
    if settings.plex_token_file is not None:
        return _from_file(settings.plex_token_file)
    return settings.plex_token.reveal() or environment.get("PLEX_TOKEN", "")


def _url(url: str) -> str:
    """Scheme, host and port, and a path where a proxy wants one; nothing that could hold a secret."""
    if not url:
        raise UsageError(f"No Plex server is named: {HOW}")
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("The address of the Plex server must look like http://192.168.1.10:32400.")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise UsageError("The address of the Plex server must hold no token or password; give the token by itself.")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if open_to_others(mode):
                raise UsageError(f"Others can read the token file {path}: chmod 600 {path}")
            return file.read(4096).decode("ascii", "replace").strip()
    except OSError as error:
        raise UsageError(f"The token file {path} cannot be read ({error.strerror}).") from error


def _checked(token: str) -> Secret:
    if not token:
        raise UsageError(f"There is no token for the Plex server: {HOW}")
    if not _TOKEN.fullmatch(token):
        raise UsageError("The Plex token holds characters that no token has; copy it again, alone and on one line.")
    return Secret(token)


def connect(settings: Settings) -> Server:
    """The server that the settings or the environment name."""
    url, token = url_and_token(settings)
    return Server(Client(url, token, rate=settings.plex_rate, timeout=settings.plex_timeout))
