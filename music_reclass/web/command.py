"""`serve`: the library in a browser, for whoever holds the link that is printed."""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from music_reclass.cli.options import setting_flags
from music_reclass.cli.output import complain, plain

if TYPE_CHECKING:
    from pathlib import Path

    from music_reclass.config import Settings

_LEAST_TOKEN = 12  # characters


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8808, show_default=True, help="0 takes any free port.")
@click.option(
    "--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS",
    help="The address to serve at; another than this machine's own needs --token.",
)  # fmt: skip
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A further name of this server; repeatable.")
@click.option(
    "--token", default="", envvar="RECLASS_WEB_TOKEN", metavar="T",
    help="The secret of the link and of programs (Authorization: Bearer T), instead of a link that is good once.",
)  # fmt: skip
@click.option("--browser/--no-browser", default=True, help="Whether to open the page on a desktop.")
@setting_flags("on_existing", "min_confidence", "profile", "taxonomy", "device", with_file=True)
def serve(
    port: int, bind: str, hosts: tuple[str, ...], token: str, browser: bool, settings: Settings,
    config_file: Path | None,
) -> None:  # fmt: skip
    """Review, play and write in a browser; programs use the REST API below /api/v1.

    Runs until Ctrl-C. Only this machine is answered unless --bind says otherwise.
    """
    import socket

    from music_reclass.errors import UsageError
    from music_reclass.utils.lazy import require

    if not _is_loopback(bind) and len(token) < _LEAST_TOKEN:
        raise UsageError(
            f"--bind {bind} lets other machines in: give a token (RECLASS_WEB_TOKEN or --token) of at least "
            f"{_LEAST_TOKEN} characters."
        )
    for package in ("fastapi", "uvicorn", "jinja2", "python_multipart"):
        require(package, "web")
    import uvicorn

    from music_reclass.web.access import Access
    from music_reclass.web.app import application
    from music_reclass.web.work import Work

    work = Work(settings, _job_flags(settings, config_file))
    work.current.get()
    try:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        is_both = bind == "::" and socket.has_dualstack_ipv6()
        served = socket.create_server((bind, port), family=family, dualstack_ipv6=is_both)
    except OSError as error:
        raise UsageError(f"Cannot serve at {bind} port {port} ({error.strerror}); name another --port.") from error
    number = served.getsockname()[1]
    access = Access(token, (bind, *hosts), number)
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, f"[{bind}]" if ":" in bind else bind)
    address = f"http://{shown}:{number}/"
    plain(f"{address}?token={_in_link(access.token)}")
    sys.stdout.flush()
    complain("This link is good once. Ctrl-C ends the server." if not token else "Ctrl-C ends the server.")
    access.on_used = lambda fresh: complain(f"The link was used. The next one: {address}?token={_in_link(fresh)}")
    if browser and _has_desktop():
        import webbrowser

        webbrowser.open(f"{address}?token={_in_link(access.token)}")
    config = uvicorn.Config(
        application(work, access), log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=5, lifespan="on",
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[served])


def _in_link(token: str) -> str:
    """A token as a part of a link: base64 has signs that mean something there."""
    return quote(token, safe="", errors="surrogateescape")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _has_desktop() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _job_flags(settings: Settings, config_file: Path | None) -> list[str]:
    """The flags that let the commands of jobs find the same library and settings."""
    return ["--db", str(settings.database), *(["--config", str(config_file)] if config_file else [])]
