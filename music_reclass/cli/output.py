"""What people and programs read: plain lines on stdout, JSON objects one a line, colour only where it is wanted."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


def printable(text: str) -> str:
    """`text` on one line, with bytes that are no UTF-8 and control characters shown rather than sent."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)


def print_json(value: Mapping[str, Any]) -> None:
    """One object on one line. ASCII where a file name is not UTF-8: such a name comes back through surrogates."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        line = json.dumps(value)
    sys.stdout.write(line + "\n")


def say(label: str, text: str = "") -> None:
    """One line of a report: a dim label of fixed width, then the text."""
    click.echo(f"{click.style(f'{label:<9} ', dim=True)}{text}", color=use_colour())


def plain(text: str = "") -> None:
    """One line as it is."""
    click.echo(text, color=use_colour())


def complain(text: str) -> None:
    """One line on stderr."""
    click.echo(text, err=True)


def use_colour() -> bool | None:
    """None lets click decide by the terminal; NO_COLOR (any value) turns colour off."""
    return False if os.environ.get("NO_COLOR") else None


def shorten_home(path: str) -> str:
    """`path` with the home folder as ~."""
    home = os.path.expanduser("~")
    if home not in ("", "/") and (path == home or path.startswith(home + "/")):
        return "~" + path[len(home) :]
    return path


def interactive() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()
