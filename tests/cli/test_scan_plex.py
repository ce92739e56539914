"""`scan --plex` and `scan --sync-plex`: tracks, files and server in one command, and one undo for both."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from music_reclass.extractors.audio.synthesis import SECONDS
from music_reclass.plex.http import Client
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.library import Shell, digests


@pytest.fixture
def fake(music: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlex]:
    """A server that holds two albums of the demo's library, at their paths here; nobody waits for it."""
    monkeypatch.setitem(Client.__init__.__kwdefaults__, "sleep", lambda seconds: None)
    with FakePlex() as server:
        server.locations = [str(music)]
        for artist, album in (("Grid Nine", "Night Shift"), ("Moss Chapel", "Undertow")):
            files = sorted(path for path in (music / artist / album).iterdir())
            for thing, path in zip(server.album(artist, album, len(files), root=str(music)), files, strict=True):
                thing.files[:], thing.seconds = [str(path)], SECONDS
        for name, value in {
            "RECLASS_PLEX_URL": server.url, "RECLASS_PLEX_TOKEN": TOKEN, "RECLASS_PLEX_RATE": "0",
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield server


def test_a_scan_can_be_limited_to_a_plex_library(music: Path, shell: Shell, fake: FakePlex) -> None:
    assert shell("scan", "--plex", "Music", "--dry-run", "--json") == 0
    assert {Path(path).parent.name for path in (item["path"] for item in shell.objects())} == {
        "Night Shift",
        "Undertow",
    }
    assert shell("scan", music / "Moss Chapel", "--plex", "Music", "--dry-run", "--json") == 0
    assert {Path(item["path"]).parent.name for item in shell.objects()} == {"Undertow"}


def test_a_plex_library_with_no_file_here_is_one_sentence(shell: Shell, fake: FakePlex) -> None:
    fake.things.clear()
    fake.album("Ada", "Blue", 3)
    assert shell("scan", "--plex", "Music", "--dry-run") == 3
    assert "--map SERVER=LOCAL" in shell.err


def test_files_and_server_get_the_same_genres_and_undo_takes_both_back(
    music: Path, shell: Shell, fake: FakePlex
) -> None:
    before, state = digests(music), fake.state()
    assert shell("scan", music, "--sync-plex", "--yes", "--json") == 1  # the server does not have all albums
    written = {item["path"]: item["genres"] for item in shell.objects() if item.get("written")}
    plex = shell.objects()[-1]["plex"]
    on_server = {thing.files[0]: thing.genres for thing in fake.tracks()}
    assert {path: genres for path, genres in written.items() if path in on_server} == {
        path: genres for path, genres in on_server.items() if genres
    }
    assert plex["unknown"] == [path for path in written if path not in on_server]
    assert plex["written"] == sum(bool(thing.genres) for thing in fake.things.values()) > 0
    assert fake.refreshed
    assert TOKEN not in shell.out + shell.err
    assert shell("history", "--json") == 0
    assert [(item["command"], item["written"] > 0) for item in shell.objects()] == [("scan", True), ("plex sync", True)]
    assert shell("undo", "--yes") == 0
    assert fake.state() == state
    assert shell("undo", "--yes") == 0
    assert digests(music) == before
    assert shell("undo", "--yes") == 3


def test_who_stops_the_waiting_for_plex_is_told_that_the_genres_are_not_there(
    music: Path, shell: Shell, fake: FakePlex, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, fake.scan_polls = fake.state(), 10**6
    stop = iter([signal.SIGINT])
    monkeypatch.setitem(
        Client.__init__.__kwdefaults__, "sleep", lambda seconds: [os.kill(os.getpid(), one) for one in stop]
    )
    assert shell("scan", music / "Moss Chapel", "--sync-plex", "--yes") == 130
    assert "reclass plex sync brings the genres" in shell.err
    assert "nothing to write" not in shell.out
    assert fake.state() == state


def test_files_written_are_named_where_the_library_in_plex_is_empty(music: Path, shell: Shell, fake: FakePlex) -> None:
    fake.things.clear()
    fake.locations = ["/data/music"]
    assert shell("scan", music / "Moss Chapel", "--sync-plex", "--yes", "--json") == 1
    written = [item["path"] for item in shell.objects() if item.get("written")]
    assert shell.objects()[-1]["plex"]["unknown"] == written != []


def test_a_server_that_does_not_answer_is_said_before_anything_is_read(
    music: Path, shell: Shell, fake: FakePlex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_PLEX_TOKEN", "wrong")
    assert shell("scan", music, "--sync-plex", "--yes") == 5
    assert not shell.db.exists()
    assert "wrong" not in shell.err.replace("wrong token", "")


def test_a_scan_of_nothing_is_a_usage_error(shell: Shell) -> None:
    assert shell("scan") == 2
    assert "Name a folder or file" in shell.err
