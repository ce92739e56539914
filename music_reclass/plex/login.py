"""Which Plex server, and with which token: from settings, environment and token file; the login that fills them."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from music_reclass.config import NO_SECRET, Secret, default_file, open_to_others, remember
from music_reclass.errors import NothingToDo, ServerError, UsageError
from music_reclass.plex.http import HOW, Client, Server, without_user_settings

if TYPE_CHECKING:
    from music_reclass.config import Settings

_TOKEN = re.compile(r"[!-~]*")  # what a header can carry; the HTTP library repeats a bad header in its error
LINK = "https://plex.tv/link"
LINK_SECONDS = 900  # how long plex.tv knows a code
PROBE_SECONDS = 5.0
TROUBLES = 5  # answers of plex.tv in a row that are none


def connect(settings: Settings, log: Callable[[str], None] = lambda line: None) -> Server:
    """The server that the settings or the environment name; `log` gets a line where it has to be waited for."""
    url, token = url_and_token(settings)
    rate, timeout = settings.plex_rate, settings.plex_timeout
    return Server(Client(url, token, identifier=client_identifier(), rate=rate, timeout=timeout, log=log))


def url_and_token(settings: Settings, environment: Mapping[str, str] = os.environ) -> tuple[str, Secret]:
    """Address and token: the settings (RECLASS_PLEX_*, config.toml) before PLEX_URL and PLEX_TOKEN.

    UsageError without an address; without a token NO_SECRET, as some servers want none. A token file beats a token in
    config.toml or the environment: whoever names one means it.
    """
    url = _url(settings.plex_url or environment.get("PLEX_URL", ""))
    if settings.plex_token_file is not None:
        token = _from_file(settings.plex_token_file)
    else:
        token = settings.plex_token.reveal() or environment.get("PLEX_TOKEN", "")
    if not _TOKEN.fullmatch(token):
        raise UsageError("The Plex token holds characters that no token has; copy it again, alone and on one line.")
    return url, Secret(token) if token else NO_SECRET


def _url(url: str) -> str:
    """Scheme, host and port, and a path where a proxy wants one; nothing that could hold a secret."""
    if not url:
        raise UsageError(
            "No Plex server is named: reclass plex login finds yours; or set RECLASS_PLEX_URL (http://ADDRESS:32400), "
            "or plex_url in config.toml."
        )
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
            text = file.read(1 << 16).decode("ascii", "replace").strip()
    except OSError as error:
        raise UsageError(f"The token file {path} cannot be read ({error.strerror}); {HOW}") from error
    if not text:
        raise UsageError(f"The token file {path} is empty; {HOW}")
    return text


def client_identifier() -> str:
    """By which name Plex knows this installation: a UUID that is made once and kept beside the configuration file."""
    path = default_file().with_name("plex-client")
    try:
        return str(uuid.UUID(path.read_text(encoding="ascii").strip()))
    except (OSError, ValueError):
        made = str(uuid.uuid4())
    with suppress(OSError):  # then it is another one the next time, which harms nothing
        _write_private(path, made)
    return made


def link(
    show: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Secret:
    """The token of the account for whose owner `show` was given a code, once it was entered at `LINK`.

    ServerError where that has not happened within a quarter of an hour, or plex.tv cannot be reached.
    """
    with _plex_tv():
        from plexapi.myplex import MyPlexPinLogin

        login = MyPlexPinLogin(requestTimeout=30)
        if not login.pin:
            raise ValueError("no code")
        code = str(login.pin)
    show(code)
    started, troubles = clock(), 0
    while clock() - started < LINK_SECONDS and troubles < TROUBLES:
        sleep(2.0)
        if login.checkLogin():
            return Secret(str(login.token))
        troubles = troubles + 1 if login.expired else 0  # of one bad answer plexapi makes an end
        login.expired = False
    raise ServerError("The code was not entered in time, or plex.tv went out of reach: try reclass plex login again.")


def servers_of(token: Secret) -> list[Any]:
    """The servers (plexapi's MyPlexResource) that an account may use, those it owns first."""
    with _plex_tv():
        from plexapi.myplex import MyPlexAccount

        found = MyPlexAccount(token=token.reveal(), timeout=30).resources()
    return sorted((one for one in found if "server" in (one.provides or "").split(",")), key=lambda one: not one.owned)


def choose(servers: Sequence[Any], name: str) -> list[Any]:
    """The servers of this name, or those that the account owns, if any; NothingToDo or UsageError if there is none."""
    if not servers:
        raise NothingToDo("This Plex account has no server: set one up first, signed in to the account.")
    if not name:
        return [one for one in servers if one.owned] or list(servers)
    chosen = [one for one in servers if name.casefold() in (one.name.casefold(), one.clientIdentifier)]
    if not chosen:
        raise UsageError(f"There is no server {name!r}; there are: {', '.join(one.name for one in servers)}.")
    return chosen


def address_of(server: Any) -> str:
    """The best address at which a server answers: local https, local http, then remote, then Plex's relay.

    All are tried at once, without the token. http goes no further than this network. ServerError where none answers.
    """
    only_https = True if server.httpsRequired else None
    near = server.preferred_connections(ssl=only_https, locations=["local"])
    far = server.preferred_connections(ssl=True, locations=["remote", "relay"])
    addresses = list(dict.fromkeys([*near, *(one for one in far if one.startswith("https:"))]))
    with ThreadPoolExecutor(max(len(addresses), 1)) as pool:
        answers = list(pool.map(lambda address: _machine_at(address) == server.clientIdentifier, addresses))
    if True in answers:
        return str(addresses[answers.index(True)])
    raise ServerError(
        f"The Plex server {server.name} answers at none of its addresses "
        f"({', '.join(addresses) or 'plex.tv knows none'}); is it running?"
    )


def _machine_at(address: str) -> str:
    """The machineIdentifier of the server at an address; "" where none answers."""
    from xml.etree import ElementTree

    import requests

    try:
        answer = requests.get(f"{address}/identity", timeout=PROBE_SECONDS, allow_redirects=False)
        return ElementTree.fromstring(answer.content).attrib.get("machineIdentifier", "")
    except (requests.RequestException, ElementTree.ParseError):
        return ""


def store(url: str, token: Secret, config: Path, token_file: Path | None) -> Path:
    """Keep the token in a file that its owner alone can read, address and place of it in the configuration file."""
    path = token_file or config.with_name("plex-token")
    try:
        _write_private(path, token.reveal())
    except OSError as error:
        raise UsageError(f"The token file {path} cannot be written ({error.strerror}).") from error
    remember(config, "plex_token_file", str(path))
    remember(config, "plex_url", url)
    return path


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
    unfinished.replace(path)


@contextmanager
def _plex_tv() -> Iterator[None]:
    """plexapi as we use it; what plex.tv refuses as one sentence, without its words, which may hold a token."""
    import requests

    with without_user_settings(client_identifier()):
        from plexapi.exceptions import PlexApiException

        try:
            yield
        except requests.RequestException as error:
            raise ServerError("The service plex.tv cannot be reached; is this machine online?") from error
        except (PlexApiException, SyntaxError, AttributeError, TypeError, ValueError) as error:
            status = re.match(r"\((\d+)\)", str(error))
            why = f"refuses that (status {status[1]})" if status else "answers otherwise than expected"
            raise ServerError(
                f"The service plex.tv {why}; try reclass plex login again, or set address and token."
            ) from None
