"""Names that spoil terminals, tables and pages: commands do their work, and what they print is parsed and shown."""

from __future__ import annotations

import csv
import html.parser
import io
import os
import re
import sys
import unicodedata
from pathlib import Path

import pytest

from music_reclass.extractors.audio.synthesis import encode, song
from tests.library import Shell, digests

NAMES = (
    b"line\nbreak\r\n.mp3",
    b"\x1b[2J\x1b]0;owned\x07\x1b[31mred.mp3",
    b"not utf8 \xff\xfe\x80.mp3",
    b"x" * 251 + b".mp3",
    b"--yes.mp3",
    b"-rf.mp3",
    b"trailing space .mp3 .mp3",
    b" .mp3",
    "\u0301\u0308\u0327.mp3".encode(),
    "evil\u202egnp.\u202c\u2066.mp3".encode(),
    b"tab\tand\x0bbell\x07\x7f.mp3",
    "c1 \u009b31m\u0085.mp3".encode(),
    b'comma,"quote",\';`$(id).mp3',
    "zero\u200bwidth\u2028line\u2029.mp3".encode(),
    b"<script>alert(1)<img src=x onerror=y>.mp3",
    b"=cmd|'calc'!A0.mp3",
    b"*?[a-z]{x}.mp3",
    b"%s%n {0} \\n.mp3",
)


@pytest.fixture(scope="module")
def tune(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tune") / "tune.mp3"
    encode(path, song(3, 5.0), metadata={"genre": "Other", "artist": "\x1b[31mA\nB", "title": "\u202e</td><script>"})
    return path.read_bytes()


@pytest.fixture
def named(tune: bytes, tmp_path: Path) -> Path:
    """One tune under every name, in a folder that is called badly too."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Mu\x1b[1msic\n\xff --db"))
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_bytes(tune + bytes([number]))  # no two alike
    return folder


def assert_shown(text: str) -> None:
    """Nothing in it moves the cursor, hides text, or turns its direction."""
    for character in text:
        kind = unicodedata.category(character)
        assert character in "\n\t" or kind not in ("Cc", "Cf", "Cs", "Zl", "Zp"), (hex(ord(character)), text[-300:])


def assert_parsed(shell: Shell, count: int) -> None:
    """JSON lines, one an object, of plain characters."""
    assert_shown(shell.out)
    assert len(shell.objects()) == count


def test_every_command_takes_and_shows_every_name(named: Path, shell: Shell) -> None:
    before = digests(named)
    paths = {str(path) for path in named.iterdir()}
    assert shell("scan", named, "--yes", "-j", "1", "--stages", "1", "--on-existing", "replace", "-v") == 0, shell.err
    assert_shown(shell.out + shell.err)
    after = digests(named)
    assert all(after[name] != before[name] for name in before)
    assert shell("scan", named, "--dry-run", "--json") == 0
    assert_parsed(shell, len(NAMES))
    assert {item["path"] for item in shell.objects()} == paths
    for words in (["status"], ["history"], ["history", "1"], ["report"], ["apply", "-n", "-v"], ["genres", "audit"]):
        assert shell(*words) in (0, 3), (words, shell.err)
        assert_shown(shell.out + shell.err)
    for path in sorted(paths):
        assert shell("explain", path) == 0, shell.err
        assert_shown(shell.out + shell.err)
    assert shell("undo", "--dry-run", "--json") == 0
    assert_parsed(shell, len(NAMES))
    assert shell("undo", "--yes") == 0
    assert_shown(shell.out + shell.err)
    assert digests(named) == before


def test_exports_of_every_name_can_be_read_back(
    named: Path, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {str(path) for path in named.iterdir()}
    assert shell("scan", named, "-n", "-q", "-j", "1", "--stages", "1") == 0, shell.err
    assert shell("export", "--format", "jsonl") == 0
    assert_parsed(shell, len(NAMES))
    assert {item["path"] for item in shell.objects()} == paths
    assert shell("export", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(shell.out, newline="")))
    assert len(rows) == len(NAMES)
    shown = {path.encode("utf-8", "backslashreplace").decode() for path in paths}  # what is no UTF-8 is escaped
    assert {row["path"] for row in rows} == shown
    assert not [row for row in rows if None in row or None in row.values()]
    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True)
        assert shell("export", "--format", "csv") == 0
        assert_shown(shell.out)
    page = tmp_path / "report.html"
    assert shell("report", "--html", page) == 0, shell.err
    text = page.read_text(encoding="utf-8")
    html.parser.HTMLParser().feed(text)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]", text)
