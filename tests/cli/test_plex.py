"""`reclass plex`: the commands as a user meets them, against the fake server over real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from music_reclass.cli.main import cli, run
from music_reclass.cli.plex import plex
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.features.plex import PlexJournal
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.plex.bench import decide, local

cli.add_command(plex)
Reclass = Callable[..., tuple[int, str, str]]
CHILD = """
import sys
from music_reclass.cli.main import cli, run
from music_reclass.cli.plex import plex
cli.add_command(plex)
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def fake() -> Iterator[FakePlex]:
    with FakePlex() as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, fake: FakePlex, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RECLASS_PLEX_URL": fake.url, "RECLASS_PLEX_TOKEN": TOKEN, "RECLASS_PLEX_RATE": "0", "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1", "RECLASS_DB": str(tmp_path / "library.sqlite3"),
        "RECLASS_CONFIG": str(tmp_path / "none.toml"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


@pytest.fixture
def reclass(environment: None, fake: FakePlex, capsys: pytest.CaptureFixture[str]) -> Iterator[Reclass]:
    seen: list[str] = []

    def call(*words: object) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        seen.extend((out, err))
        return code, out, err

    yield call
    assert TOKEN not in "".join(seen)
    assert fake.tokens_in_addresses == fake.unbounded == 0


@pytest.fixture
def library(tmp_path: Path, fake: FakePlex) -> Database:
    """Ten tracks, decided as Jazz; two of them hold a genre, one of those locked by its owner."""
    tracks = fake.album("Ada", "Blue", 10)
    tracks[0].tags["genre"], tracks[1].tags["genre"] = ["Folk"], ["Mine"]
    tracks[1].locked.add("genre")
    database = Database(tmp_path / "library.sqlite3")
    decide(database, [(local(thing.files[0]), "Jazz") for thing in tracks])
    return database


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_check_and_libraries_tell_what_is_there(reclass: Reclass, fake: FakePlex) -> None:
    code, out, _ = reclass("plex", "check")
    assert code == 0
    assert "Plex Media Server 1.41.0.1-fake" in out
    assert "can carry genres" in out
    assert objects(reclass("plex", "libraries", "--json")[1]) == [
        {"number": 5, "title": "Music", "type": "artist", "locations": ["/data/music"]}
    ]
    fake.track_genres = False
    assert "use --level album" in reclass("plex", "check")[1]
    assert objects(reclass("plex", "check", "--json")[1])[0]["track_genres"] is False


def test_diff_shows_and_writes_nothing(reclass: Reclass, fake: FakePlex, library: Database) -> None:
    code, out, _ = reclass("plex", "diff")
    assert code == 0
    assert "Music: 10 tracks, 10 of them known here" in out
    assert "'/data/music' -> '/home/me/Music'" in out
    assert "set 10 · noop 0 · skip 1" in out
    assert "locked by somebody" in out
    album, *tracks = objects(reclass("plex", "diff", "--json")[1])
    assert (album["level"], album["title"], album["before"], album["after"]) == ("album", "Ada - Blue", [], ["Jazz"])
    assert [row["action"] for row in tracks] == ["set", "skip"] + ["set"] * 8
    assert (tracks[0]["before"], tracks[0]["after"]) == (["Folk"], ["Folk", "Jazz"])
    assert fake.puts == 0


def test_sync_asks_for_a_yes_then_writes_and_restore_takes_it_back(
    reclass: Reclass, fake: FakePlex, library: Database
) -> None:
    start = fake.state()
    code, _, err = reclass("plex", "sync")
    assert code == 0
    assert "that needs --yes" in err
    assert reclass("plex", "sync", "--dry-run", "-y")[0] == 0
    assert fake.state() == start
    code, out, _ = reclass("plex", "sync", "-y", "--label", "reclass")
    assert code == 0
    assert "10 items, each read back and verified; restore it: reclass plex restore 1" in out
    assert reclass("plex", "sync", "-y")[1].count("set 0 · noop 10 · skip 1") == 1
    assert "plex sync" in reclass("history")[1]
    assert fake.tracks()[1].genres == ["Mine"]
    code, out, _ = reclass("plex", "restore", "-y")
    assert code == 0
    assert "10 items, each read back and verified" in out
    assert fake.state() == start
    code, _, err = reclass("plex", "restore", "1", "-y")
    assert (code, "Nothing of run 1" in err) == (3, True)


def test_one_item_is_called_one(reclass: Reclass, fake: FakePlex, tmp_path: Path) -> None:
    fake.album("Ada", "Blue", 1)
    with Database(tmp_path / "library.sqlite3").connection:
        decide(Database(tmp_path / "library.sqlite3"), [(local(fake.tracks()[0].files[0]), "Jazz")])
    said = ""
    for words in (["sync", "--level", "track"], ["unlock"], ["restore"]):
        for flags in ([], ["-y"]):
            said += "".join(reclass("plex", *words, *flags)[1:])
    assert "1 items" not in said
    assert said.count("1 item, read back and verified") == 3
    assert all(
        f"{question}?" in said for question in ("Write 1 item of the Plex library", "Release the locks of 1 item")
    )


def test_an_item_that_is_away_while_nobody_says_yes_to_a_restore_can_be_restored_later(
    reclass: Reclass, fake: FakePlex, library: Database
) -> None:
    start = fake.state()
    assert reclass("plex", "sync", "-y")[0] == 0
    away = next(thing for thing in fake.tracks() if thing.genres == ["Jazz"])
    del fake.things[away.key]
    assert "that needs --yes" in reclass("plex", "restore", "1")[2]
    fake.things[away.key] = away
    assert reclass("plex", "restore", "1", "-y")[0] == 0
    assert fake.state() == start


def test_every_json_line_is_an_object(reclass: Reclass, fake: FakePlex, library: Database) -> None:
    fake.refused_keys = {fake.tracks()[4].key: 409}
    code, out, _ = reclass("plex", "sync", "-y", "--json")
    rows = objects(out)
    assert code == 1
    assert len(rows) == 12
    assert rows[-1] == {
        "run": 1, "written": 9, "failed": [{"title": "Ada - Blue - Tune 5", "reason": "the server answers 409"}],
        "changed": [], "stopped": False,
    }  # fmt: skip
    fake.tracks()[0].tags["genre"] = ["Wedding"]
    code, out, _ = reclass("plex", "restore", "1", "-y", "--json")
    rows = objects(out)
    assert code == 1
    assert [row["action"] for row in rows[:-1]] == ["restore"] * 8 + ["leave"]
    assert rows[-1]["written"] == 8


def test_levels_modes_and_locks_are_words_on_the_line(reclass: Reclass, fake: FakePlex, library: Database) -> None:
    assert reclass("plex", "sync", "-y", "--level", "album", "--no-lock")[0] == 0
    (album,) = [thing for thing in fake.things.values() if thing.kind == "album"]
    assert (album.genres, album.locked) == (["Jazz"], set())
    assert reclass("plex", "sync", "-y", "--mode", "set", "--override-locks", "--keep-lock")[0] == 0
    assert all(thing.genres == ["Jazz"] for thing in fake.tracks())
    assert [bool(thing.locked) for thing in fake.tracks()] == [False, True] + [False] * 8


def test_auto_warns_where_it_falls_back(reclass: Reclass, fake: FakePlex, library: Database) -> None:
    fake.track_genres = False
    code, _, err = reclass("plex", "diff")
    assert code == 0
    assert "only albums are written" in err
    assert reclass("plex", "sync", "-y", "--level", "track")[0] == 2


def test_map_infers_shows_and_stores(reclass: Reclass, fake: FakePlex, library: Database, tmp_path: Path) -> None:
    code, out, _ = reclass("plex", "map", "--dry-run")
    assert (code, "'/data/music' -> '/home/me/Music'  10/10 matched" in out) == (0, True)
    assert PlexJournal(library).known_server("machine-1") is None
    reclass("plex", "map", "--map", f"/data/music={tmp_path}/a")
    known = PlexJournal(library).known_server("machine-1")
    assert known is not None
    assert dict(known.mapping) == {"/data/music": f"{tmp_path}/a"}
    code, _, err = reclass("plex", "diff")
    assert (code, "--map SERVER=LOCAL" in err) == (2, True)
    assert reclass("plex", "diff", "--map", "/data/music=/home/me/Music")[0] == 0
    assert objects(reclass("plex", "map", "--json")[1])[0]["matched"] == 10


def test_map_without_a_library_uses_the_folders_named(reclass: Reclass, fake: FakePlex, tmp_path: Path) -> None:
    folder = tmp_path / "My Music"
    for thing in fake.album("Ada", "Blue", 3):
        path = Path(thing.files[0].replace("/data/music", str(folder)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    code, out, _ = reclass("plex", "map")
    assert (code, "No folder of the server was found" in out) == (3, True)
    assert f"'/data/music' -> '{folder}'  3/3 matched" in reclass("plex", "map", folder)[1]
    code, out, _ = reclass("plex", "import")
    assert (code, "3 new, 0 known" in out) == (0, True)
    assert objects(reclass("plex", "import", "-n", "--json")[1])[0]["dry_run"] is True


def test_unlock_releases_our_locks_only(reclass: Reclass, fake: FakePlex, library: Database) -> None:
    reclass("plex", "sync", "-y")
    code, out, _ = reclass("plex", "unlock", "-y")
    assert (code, "10 items with a lock of ours" in out) == (0, True)
    assert [bool(thing.locked) for thing in fake.tracks()] == [False, True] + [False] * 8
    assert "0 items with a lock" in reclass("plex", "unlock", "-y")[1]


def test_selftest_tries_and_puts_back(reclass: Reclass, fake: FakePlex, library: Database) -> None:
    start = fake.state()
    assert reclass("plex", "selftest", "/data/music/Ada/Blue/01 Tune 1.mp3")[0] == 0
    assert fake.puts == 0
    code, out, _ = reclass("plex", "selftest", "-y", "/data/music/Ada/Blue/01 Tune 1.mp3")
    assert (code, "adds to the list" in out, "as before" in out) == (0, True, True)
    assert fake.state() == start
    fake.shows_locks_together = False
    code, out, _ = reclass("plex", "selftest", "-y", "--json", fake.tracks()[0].key)
    assert code == 1
    assert [step["step"] for step in objects(out) if step["fine"] is False] == ["the lock shows among several"]


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({"RECLASS_PLEX_URL": ""}, 2, "No Plex server is named"),
        ({"RECLASS_PLEX_TOKEN": ""}, 2, "There is no token"),
        ({"RECLASS_PLEX_TOKEN": "wrong"}, 5, "does not accept the token"),
        ({"RECLASS_PLEX_LIBRARY": "Films"}, 2, "Music (number 5)"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_code(
    reclass: Reclass, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], code: int, words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found, out, err = reclass("plex", "check")
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert words in err


def test_without_a_library_nothing_is_asked_of_the_server(reclass: Reclass, fake: FakePlex) -> None:
    assert reclass("plex", "sync", "-y")[0] == 3
    assert reclass("plex", "diff")[0] == 3
    assert fake.requests == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_in_the_middle_it_resumes_and_can_be_taken_back(
    reclass: Reclass, fake: FakePlex, tmp_path: Path, moment: str
) -> None:
    for n in range(3):
        fake.album(f"Artist {n}", "Album", 100, genres=["Other"])
    database = Database(tmp_path / "library.sqlite3")
    decide(database, [(local(thing.files[0]), "Jazz") for thing in fake.tracks()])
    start = fake.state()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, "plex", "sync", "-y"], env=os.environ.copy(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip

    def kill(number: object) -> None:
        if fake.puts == (1 if moment == "before" else 2):
            fake.before_put = fake.after_put = lambda _: None
            child.send_signal(signal.SIGKILL)
            child.wait()

    setattr(fake, f"{moment}_put", kill)
    output = child.communicate(timeout=60)[0]
    assert child.returncode == -signal.SIGKILL, output
    assert {change.state for change in PlexJournal(database).of_run(1)} == {"written", "planned"}
    assert reclass("plex", "sync", "-y")[0] == 0
    assert all((thing.genres, thing.locked) == (["Jazz"], {"genre"}) for thing in fake.tracks())
    states = [change.state for number in (1, 2) for change in PlexJournal(database).of_run(number)]
    assert sorted(set(states)) in (["written"], ["abandoned", "written"])
    assert states.count("written") == 303  # tracks and albums
    for number in (2, 1):
        reclass("plex", "restore", number, "-y")
    assert fake.state() == start
    assert Journal(database).command_of(1) == "plex sync"


def test_an_interrupt_ends_in_order(reclass: Reclass, fake: FakePlex, tmp_path: Path) -> None:
    fake.album("Ada", "Blue", 300, genres=["Other"])
    database = Database(tmp_path / "library.sqlite3")
    decide(database, [(local(thing.files[0]), "Jazz") for thing in fake.tracks()])
    fake.after_put = lambda number: os.kill(os.getpid(), signal.SIGINT) if number == 1 else None
    code, _, err = reclass("plex", "sync", "-y")
    assert code == 130
    assert "Stopped as you asked" in err
    assert {change.state for change in PlexJournal(database).of_run(1)} == {"written"}
    assert reclass("plex", "sync", "-y")[0] == 0
    assert all(thing.genres == ["Jazz"] for thing in fake.tracks())


def test_a_server_that_goes_away_leaves_word_of_how_to_go_on_and_back(
    reclass: Reclass, fake: FakePlex, library: Database
) -> None:
    start = fake.state()
    fake.after_put = lambda number: fake.faults.append(418)
    code, _, err = reclass("plex", "sync", "-y")
    assert (code, "plex sync goes on from there, plex restore 1 takes it back" in err) == (5, True)
    fake.after_put = lambda number: None
    assert fake.state() != start
    assert reclass("plex", "restore", "1", "-y")[0] == 0
    assert fake.state() == start


def test_a_plan_that_was_stopped_is_not_shown_as_a_whole(reclass: Reclass, fake: FakePlex, library: Database) -> None:
    fake.spend = lambda *_: os.kill(os.getpid(), signal.SIGINT) if len(fake.requests) == 3 else None  # type: ignore[method-assign]
    code, out, err = reclass("plex", "sync", "-y")
    assert (code, out, "nothing was written" in err, fake.puts) == (130, "", True, 0)


def test_two_syncs_at_once_are_refused(reclass: Reclass, fake: FakePlex, library: Database, tmp_path: Path) -> None:
    from music_reclass.features.database import writing_lease

    with writing_lease(tmp_path / "library.sqlite3", "plex sync"):
        code, _, err = reclass("plex", "sync", "-y")
    assert (code, "is using this library" in err) == (4, True)


def test_the_token_is_no_option(reclass: Reclass) -> None:
    assert "--token" not in reclass("plex", "sync", "--help")[1]
