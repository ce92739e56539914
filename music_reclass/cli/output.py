"""What commands print, ask and write into files: lines or JSON objects on stdout, questions, guarded output files."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from music_reclass.cli.options import Choice

_DATABASE_MARK = b"SQLite format 3\0"
_BESIDE_DATABASES = ("-wal", "-shm", "-journal", ".lock")


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


def emit(value: Mapping[str, Any], text: str, as_json: bool, label: str | None = None) -> None:
    """One result: the object for programs, or the line for people, with a label where there is one."""
    if as_json:
        print_json(value)
    elif label is None:
        plain(text)
    else:
        say(label, text)


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


def confirm(question: str, choice: Choice, *, default: bool = False) -> bool:
    """Whether to write: as the flags say, else as somebody at the terminal answers; without one, no, and said so."""
    if choice.dry_run or choice.yes:
        return choice.yes and not choice.dry_run
    if choice.as_json or not interactive():
        complain(f"{question} Nothing was written: without a terminal, or with --json, that needs --yes.")
        return False
    return click.confirm(f"\n{question}", default=default)


def write_file(path: Path, content: str | bytes | Iterable[str]) -> None:
    """Write an output file beside its place and put it there when it is whole. UsageError where `path` names music, a
    library database or what is no plain file; ReclassError where it cannot be written."""
    from music_reclass.errors import ReclassError

    target = Path(os.path.expanduser(path)).resolve()
    check_output(path)
    unfinished = target.with_name(f".{target.name[:50]}.{os.getpid()}.part")
    try:
        with unfinished.open("xb") as file:
            for piece in (content,) if isinstance(content, str | bytes) else content:
                # A name that is not UTF-8 cannot stand in a text file: its bytes are shown as \udcXX.
                file.write(piece if isinstance(piece, bytes) else piece.encode("utf-8", "backslashreplace"))
        if target.exists():
            unfinished.chmod(target.stat().st_mode & 0o777)
        unfinished.replace(target)
    except OSError as error:
        raise ReclassError(f"{printable(str(path))} cannot be written: {error.strerror}; name another file.") from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def check_output(path: Path) -> None:
    """UsageError where `path` is no place for an output file: music, a library database, a folder, a device."""
    from music_reclass.errors import UsageError
    from music_reclass.utils.files import AUDIO_SUFFIXES

    target = Path(os.path.expanduser(path)).resolve()
    if {path.suffix.lower(), target.suffix.lower()} & AUDIO_SUFFIXES:
        raise UsageError(f"{printable(str(path))} is named like music and is not written over; name another file.")
    if target.exists() and not target.is_file():
        raise UsageError(f"{printable(str(path))} is no plain file; name another file.")
    base = next((target.name.removesuffix(end) for end in _BESIDE_DATABASES if target.name.endswith(end)), target.name)
    if _is_database(target) or _is_database(target.with_name(base or target.name)):
        raise UsageError(f"{printable(str(path))} belongs to a library database; name another file.")


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_DATABASE_MARK)) == _DATABASE_MARK
    except OSError:  # not there, or not readable, and then not writable either
        return False
