"""Every command on a terminal, over files whose names and tags hold escape sequences: none of them is sent."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from music_reclass.cli.main import cli, run
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.library import copied
from tests.test_start_up import commands

EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[41m\x9b41m\r\nfake line \u202eevil"
IN_XML = "\x9b41m \u202eevil"  # what XML can carry of it
# Styles, cursor and line control of progress bars; none of EVIL is among them.
OURS = re.compile(r"\x1b\[(\?25[lh]|\d?[AKG]|[0-9;]*m)")

COMMANDS = sorted(" ".join(path) for path in commands(cli))

# What drives each command; a path that is not there, where nothing is listed. {music} {song} {other} are hostile paths
# that exist, {nothing} is one that does not.
WORDS = {
    "watch": [],  # it would not end: tests/cli/test_watch.py
    "": [],
    "apply": ["--on-existing", "replace", "-n"],
    "audit": ["--config", "{nothing}"],
    "audit-exits": ["--config", "{nothing}"],
    "calibrate": ["--config", "{nothing}"],
    "completion": [],
    "completion install": ["{nothing}"],
    "completion show": ["{nothing}"],
    "config": ["--db", "{nothing}"],
    "db": [],
    "db backup": ["--config", "{nothing}"],
    "db check": ["--config", "{nothing}"],
    "db restore": ["{nothing}"],
    "demo": ["{nothing}"],
    "doctor": ["--db", "{nothing}"],
    "doctor gpu": ["{nothing}"],
    "doctor skew": [],
    "doctor tags": ["{song}"],
    "edit": ["{nothing}", "--genre", "{nothing}", "--config", "{nothing}"],
    "eval": ["--data", "{nothing}"],
    "explain": ["{song}"],
    "export": [],
    "features": ["{other}"],
    "forget": ["{nothing}", "--config", "{nothing}"],
    "genres": [],
    "genres audit": [],
    "genres list": ["{nothing}"],
    "history": ["1"],
    "models": [],
    "models download": ["{nothing}"],
    "models install": ["{nothing}", "{song}"],
    "models licence": ["{nothing}"],
    "models list": ["{nothing}"],
    "models verify": ["{nothing}"],
    "plex": [],
    "plex check": ["--library", "{nothing}"],
    "plex diff": ["--map", "/data/music={music}"],
    "plex import": ["--map", "/data/music={music}"],
    "plex libraries": [],
    "plex map": ["{music}"],
    "plex restore": ["-n"],
    "plex selftest": ["102", "-y"],
    "plex sync": ["--map", "/data/music={music}", "-y"],
    "plex unlock": ["-n"],
    "predict": ["--table", "{nothing}"],
    "relabel": ["--taxonomy", "{nothing}"],
    "report": [],
    "scan": ["{music}", "{nothing}", "-y"],
    "status": ["--failed"],
    "train": ["{nothing}"],
    "train all": ["--data", "{nothing}", "--out", "{nothing} out"],
    "train fma-linear": ["--data", "{nothing}", "--out", "{nothing} out"],
    "train fma-mlp": ["--data", "{nothing}", "--out", "{nothing} out"],
    "train fma-xgb": ["--data", "{nothing}", "--out", "{nothing} out"],
    "train jmla-ensemble": ["--data", "{nothing}", "--out", "{nothing} out"],
    "train mert-ensemble": ["--data", "{nothing}", "--out", "{nothing} out"],
    "train musicnn-ensemble": ["--data", "{nothing}", "--out", "{nothing} out"],
    "undo": ["1", "-y"],
}
# These say nothing that comes from files.
WITHOUT_NAMES = {
    "", "completion", "db", "doctor gpu", "doctor skew", "genres", "genres list", "models", "models list", "plex",
    "plex restore", "plex unlock", "relabel", "report", "watch",
}  # fmt: skip


class Places(NamedTuple):
    """Hostile paths by their name in WORDS, and the variables that commands need."""

    paths: dict[str, str]
    variables: dict[str, str]


def screen_of(words: list[str], settings: dict[str, str]) -> str:
    """What a command sends to a terminal of its own, with these variables."""
    pid, screen = pty.fork()
    if pid == 0:  # pragma: no cover - the child
        import sys

        try:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            os.environ.update(settings)
            run(words)
            sys.stdout.flush()
        finally:
            os._exit(0)
    sent, asked = b"", 0
    while True:
        try:
            piece = os.read(screen, 65536)
        except OSError:  # the terminal closes with its last program
            break
        if not piece:
            break
        sent += piece
        if sent.count(b"]: ") > asked:  # a question: no
            asked = sent.count(b"]: ")
            os.write(screen, b"n\n")
    os.close(screen)
    os.waitpid(pid, 0)
    return sent.decode()


@pytest.fixture(scope="module")
def places(demo_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """A scanned library under hostile names: written, then edited by somebody; a broken file, a hard link, a server."""
    import mutagen
    from mutagen.id3 import TCON

    patch = pytest.MonkeyPatch()
    base = tmp_path_factory.mktemp("hostile")
    patch.setenv("HOME", str(base / "home"))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        patch.setenv(name, str(base / "home" / name))
    folder = copied(demo_library / "Ida Quill" / "Slow Rivers", base / f"{EVIL} album")
    for number, (old, new) in enumerate((("01 Source.mp3", "song.mp3"), ("02 Bend.flac", "other.flac")), start=1):
        (folder / old).rename(folder / f"{number} {EVIL}{new}")
    song, other = folder / f"1 {EVIL}song.mp3", folder / f"2 {EVIL}other.flac"
    for path in (song, other, folder / "03 Delta.ogg"):
        tags = mutagen.File(path, easy=True)
        for field in ("artist", "title", "album", "genre"):
            tags[field] = f"{EVIL} {field}"
        tags.save()
    (folder / f"{EVIL}broken.mp3").write_bytes(b"no music" * 1000)
    os.link(folder / "04 Mouth.m4a", folder / f"{EVIL}linked.m4a")
    settings = {"DB": str(base / "db.sqlite3"), "PLEX_TOKEN": TOKEN, "PLEX_RATE": "0", "JOBS": "1"}
    for name, value in settings.items():
        patch.setenv(f"RECLASS_{name}", value)
    run(["scan", str(folder), "-y", "--on-existing", "replace", "--profile", "joined"])
    tags = mutagen.File(song)
    tags.tags.setall("TCON", [TCON(encoding=3, text=[f"{EVIL} edited"])])
    tags.save()
    run(["scan", str(folder), "-n"])
    with FakePlex() as server:
        server.title = f"Music{IN_XML}"
        above = server.add("album", f"album{IN_XML}", server.add("artist", f"artist{IN_XML}").key)
        for name in ("03 Delta.ogg", "04 Mouth.m4a"):
            server.add("track", f"{name}{IN_XML}", above.key, files=[f"/data/music/{name}"], genres=[f"genre{IN_XML}"])
        server.add("track", f"gone{IN_XML}", above.key, files=[f"/data/music/gone{IN_XML}.mp3"])
        patch.undo()
        settings |= {"PLEX_URL": server.url, "CONFIG": str(base / "none.toml")}
        variables = {f"RECLASS_{name}": value for name, value in settings.items()} | {"NO_PROXY": "127.0.0.1"}
        files = {"music": str(folder), "song": str(song), "other": str(other)}
        yield Places({**files, "nothing": str(base / f"{EVIL} nothing")}, variables)


def test_what_is_listed_here_are_commands() -> None:
    assert set(WORDS) <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_control_character_of_a_name_or_a_tag_reaches_the_terminal(command: str, places: Places) -> None:
    words = [*command.split(), *(word.format(**places.paths) for word in WORDS.get(command, ["{nothing}"]))]
    screen = screen_of(words, places.variables)
    assert "Traceback" not in screen
    assert "\x1b[41m" not in screen
    left = OURS.sub("", screen)
    assert not [char for char in left if not char.isprintable() and char not in "\r\n\t"], ascii(left)
    if command in WORDS and command not in WITHOUT_NAMES:
        assert "owned" in screen or "evil" in screen  # it was there to be shown
