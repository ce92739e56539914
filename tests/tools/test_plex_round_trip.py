"""The round trip on a real server, run against the fake one: the same steps, the same commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from music_reclass.cli.main import run
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.plex.bench import Clock
from tools import plex_round_trip


def look(fake: FakePlex, folder: Path) -> None:
    """What a scan of the server does: files in Artist/Album/ become tracks."""
    known = {path for thing in fake.tracks() for path in thing.files}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        there = str(path).replace(str(folder), "/data/music", 1)
        if there in known:
            continue
        artist, album = path.parts[-3:-1]
        by_name = {(thing.kind, thing.title): thing for thing in fake.things.values()}
        above = by_name.get(("artist", artist)) or fake.add("artist", artist)
        inside = by_name.get(("album", album)) or fake.add("album", album, above.key)
        fake.add("track", path.stem, inside.key, files=[there], seconds=0.0)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return tmp_path / "music"


@pytest.fixture
def fake(music: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakePlex]:
    for name, value in {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PLEX_TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(plex_round_trip, "BEFORE", (("Ida", "Slow", "piano", (("01 A.mp3", "A", "Other"),)),))
    monkeypatch.setattr(plex_round_trip, "LATER", (("Iron", "Loud", "pad", (("01 B.flac", "B", None),)),))
    clock = Clock()
    monkeypatch.setitem(plex_round_trip.Client.__init__.__kwdefaults__, "sleep", clock.sleep)
    monkeypatch.setitem(plex_round_trip.Client.__init__.__kwdefaults__, "clock", clock)
    server = FakePlex()
    server.on_refresh = lambda path: look(server, music)
    server.queued_polls, server.scan_polls = 2, 2
    with server:
        for name, value in {
            "URL": server.url, "TOKEN": TOKEN, "RATE": "0",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"RECLASS_PLEX_{name}", value)
        monkeypatch.setenv("RECLASS_DB", str(tmp_path / "library.sqlite3"))
        monkeypatch.setenv("RECLASS_CONFIG", str(tmp_path / "config.toml"))
        yield server


def command(*words: object) -> int:
    return run([str(word) for word in words])


def test_every_step_is_as_it_should_be_and_the_music_is_taken_away(
    fake: FakePlex, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = plex_round_trip.main(["--url", fake.url, "--music", str(music)], command)
    out = capsys.readouterr().out
    assert (code, "BAD" in out, "all as it should be" in out) == (0, False, True), out
    assert not list(music.iterdir())
    assert fake.unbounded == 0
    assert TOKEN not in out


def test_commands_that_write_nothing_are_found_out(
    fake: FakePlex, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plex_round_trip.main(["--url", fake.url, "--music", str(music)], lambda *words: 0) == 1
    out = capsys.readouterr().out
    assert "BAD  after the sync the server holds new genres" in out
    assert "BAD  Plex holds the new album" in out


def test_a_folder_with_music_in_it_is_left_alone(fake: FakePlex, music: Path) -> None:
    music.mkdir()
    (music / "mine.mp3").write_bytes(b"x")
    with pytest.raises(SystemExit):
        plex_round_trip.main(["--url", fake.url, "--music", str(music)], command)
    assert (music / "mine.mp3").exists()
