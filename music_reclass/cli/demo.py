"""The whole job on a small synthesised library in a temporary folder: scan, plan, write, undo, every byte back."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from music_reclass.cli.output import plain, printable, say
from music_reclass.errors import UsageError

_AFTER_WRITE = "RECLASS_AFTER_WRITE"


@click.command()
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Make the library here and leave it.")
def demo(keep: Path | None) -> int:
    """See the whole job without music at hand: a synthesised library is scanned, tagged and restored."""
    if keep is not None:
        for place in (keep / "Music", keep / "library.sqlite3"):
            if place.exists():  # perhaps somebody's music, which the scan of the demo would tag unasked
                raise UsageError(f"{printable(str(place))} is there already; name an empty folder.")
        keep.mkdir(parents=True, exist_ok=True)
        return _play(keep)
    with tempfile.TemporaryDirectory(prefix="reclass-demo-") as folder:
        return _play(Path(folder))


def _play(folder: Path) -> int:
    from music_reclass.cli.main import run  # the whole program, as a user would call it; main knows us by name only
    from music_reclass.extractors.audio.synthesis import DEMO, make_library

    music, db = folder / "Music", folder / "library.sqlite3"
    say("demo", f"synthesising a library in eight formats in {music} ...")
    make_library(music, DEMO)
    before = _digests(music)
    for arguments in (
        ["scan", str(music), "--db", str(db), "--yes"],
        ["status", "--unsure", "--db", str(db)],
        ["history", "--db", str(db)],
        ["undo", "--db", str(db), "--yes"],
    ):
        shown = [word for word in arguments if word not in ("--db", str(db))]
        plain(f"\n$ reclass {' '.join(shown)}")
        sys.stdout.flush()
        with _no_after_write():
            code = run(arguments)
        if code:
            return code
    after = _digests(music)
    same = sum(after.get(path) == digest for path, digest in before.items())
    plain()
    say("demo", f"{same} of {len(before)} files have the very bytes (SHA-256) they had before the scan.")
    return 0 if same == len(before) == len(after) else 1


@contextmanager
def _no_after_write() -> Iterator[None]:
    """No server learns of files that are gone in a minute."""
    before = os.environ.get(_AFTER_WRITE)
    os.environ[_AFTER_WRITE] = ""
    try:
        yield
    finally:
        del os.environ[_AFTER_WRITE]
        if before is not None:
            os.environ[_AFTER_WRITE] = before


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }
