"""What commands print, ask and write into files: lines or JSON objects on stdout, questions, guarded output files.

Everything for the terminal passes `_safe`: whatever stands in file names, tags and error messages, no control character
goes out but line ends, tabs and the styles of `styled`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from music_reclass.cli.options import Choice

# Private-use characters stand for styles until a line is sent; `printable` shows those of a file name as text.
_STYLES = {"bold": ("\ue001", 1), "dim": ("\ue002", 2), "red": ("\ue003", 31), "green": ("\ue004", 32)}
_PLAIN = "\ue000"
_SENT = {_PLAIN: "\x1b[0m", "\n": "\n", "\t": "\t", **{mark: f"\x1b[{code}m" for mark, code in _STYLES.values()}}

_DATABASE_MARK = b"SQLite format 3\0"
MADE_BY = b"made by reclass"  # in playlists and pictures, which other programs make too
_HEAD, _MOST_OF_PICTURE = 4096, 1 << 24
_PICTURES = (b"\x89PNG", b"%PDF", b"<?xml")
_MADE_HERE = re.compile(
    rb"<!doctype html><html lang='en'><meta charset='utf-8'><title>"
    rb"|path,outcome,reason,genres,"
    rb'|\{"path": "[^\n]*"outcome": '
    rb"|#EXTM3U\n#" + MADE_BY
)
_BESIDE_DATABASES = ("-wal", "-shm", "-journal", ".lock")


def printable(text: str) -> str:
    """`text` on one line, with bytes that are no UTF-8 and control characters shown rather than sent."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if clean.isprintable() else "".join(map(_shown, clean))


def styled(text: str, style: str) -> str:
    """`text`, made printable, in bold, dim, red or green where the terminal has it."""
    return f"{_STYLES[style][0]}{printable(text)}{_PLAIN}"


def cell(text: str, wide: int, *, padded: bool = True) -> str:
    """`text`, made printable, in a column of `wide` characters: cut with an ellipsis where it is longer."""
    from music_reclass.utils.words import columns, ellipsis

    shown = ellipsis(printable(text), wide)
    return shown + " " * (wide - columns(shown)) if padded else shown


def _safe(text: str) -> str:
    """What may be sent to a terminal: lines of printable characters, and styles."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    return clean if clean.isprintable() else "".join(_SENT.get(char) or _shown(char) for char in clean)


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


class SafeStream:
    """A stream through which no control character passes, for what click prints."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` as a terminal may get it."""
        return self._stream.write(_safe(text))

    def flush(self) -> None:
        """Flush the stream behind."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether the stream behind is a terminal."""
        return self._stream.isatty()


def print_json(value: Mapping[str, Any]) -> None:
    """One object on one line; what is not printable, and names that are not UTF-8, as \\u escapes."""
    line = json.dumps(value, ensure_ascii=False)
    if not line.isprintable():
        line = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)
    sys.stdout.write(line + "\n")


def print_table(lines: Iterable[str]) -> None:
    """Lines of CSV or JSON with their line ends to stdout as they are; to a terminal as it may get them."""
    for line in lines:
        # A name that is not UTF-8 cannot stand in a text file: its bytes are shown as \\udcXX.
        text = line.encode("utf-8", "backslashreplace").decode()
        sys.stdout.write(_safe(text.replace("\r\n", "\n")) if sys.stdout.isatty() else text)


_quiet = False


@contextmanager
def quiet(wanted: bool) -> Iterator[None]:
    """While the block runs, lines for people and progress bars are left out, if `wanted`; problems are not."""
    global _quiet
    from music_reclass.utils import progress

    before = _quiet
    _quiet = progress.hidden = wanted or before
    try:
        yield
    finally:
        _quiet = progress.hidden = before


def say(label: str, text: str = "") -> None:
    """One line of a report: a dim label of fixed width, then the text."""
    plain(f"{styled(f'{label:<9} ', 'dim')}{text}")


def plain(text: str = "", *, problem: bool = False) -> None:
    """One line, or several, without control characters; a `problem` is said even where all other lines are left out."""
    if problem or not _quiet:
        click.echo(_safe(text), color=use_colour())


def emit(value: Mapping[str, Any], text: str, as_json: bool, label: str | None = None) -> None:
    """One result: the object for programs, or the line for people, with a label where there is one."""
    if as_json:
        print_json(value)
    elif label is None:
        plain(text)
    else:
        say(label, text)


def complain(text: str) -> None:
    """One line on stderr, or several, without control characters."""
    click.echo(_safe(text), err=True, color=use_colour())


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
    from music_reclass.utils.progress import waiting_for_answer

    with waiting_for_answer():
        return click.confirm(f"\n{printable(question)}", default=default)


def choose(question: str, most: int) -> int:
    """The number from 1 to `most` that somebody at the terminal gives."""
    from music_reclass.utils.progress import waiting_for_answer

    with waiting_for_answer():
        return int(click.prompt(printable(question), type=click.IntRange(1, most)))


def write_file(path: Path, content: str | bytes | Iterable[str], *, force: bool = False) -> None:
    """Write an output file beside its place and put it there when it is whole. UsageError where `check_output` has
    one; ReclassError where it cannot be written."""
    from music_reclass.errors import ReclassError

    target = Path(os.path.expanduser(path)).resolve()
    check_output(path, force=force)
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


def check_output(path: Path, *, force: bool = False) -> None:
    """UsageError where `path` is no place for an output file: music, a library database, a folder, a device; and,
    without `force`, a file that reclass did not make."""
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
    if not force and target.exists() and not _is_made_here(target):
        raise UsageError(
            f"{printable(str(path))} is there already, and was not made by reclass; name another file, or write "
            "over it with --force."
        )


def _is_made_here(path: Path) -> bool:
    """Whether a file is empty or begins as the pages, lists and pictures do that are written here."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            is_picture = head.startswith(_PICTURES) and MADE_BY in head + file.read(_MOST_OF_PICTURE)
    except OSError:
        return False
    return not head or is_picture or _MADE_HERE.match(head) is not None


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_DATABASE_MARK)) == _DATABASE_MARK
    except OSError:  # not there, or not readable, and then not writable either
        return False
