"""Which stages vote, as the user names them; and how an interrupted run is settled before anything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from music_reclass.cli.session import bundles_of_scan, cascade_for, exit_policy, writing
from music_reclass.config import Settings
from music_reclass.errors import DatabaseError, ReclassError, UsageError
from music_reclass.extractors.weights.store import MissingWeights
from music_reclass.features.database import Database
from music_reclass.features.journal import Intention, Journal
from music_reclass.features.library import Library
from music_reclass.features.results import Scans, ScanStats, StageStats
from music_reclass.taxonomy import load
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell


@pytest.fixture(autouse=True)
def _without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        ("auto", ["fma518", "efficientat", "musicnn"]),
        ("1", ["fma518"]),
        ("fma518", ["fma518"]),
        ("1,musicnn", ["fma518", "musicnn"]),
        ("1, 2", ["fma518", "efficientat"]),
        ("1,3", ["fma518", "musicnn"]),
        (" fma518 , musicnn ", ["fma518", "musicnn"]),
    ],
)
def test_stages_are_named_by_number_or_name(words: str, stages: list[str]) -> None:
    assert [bundle.stage for bundle in bundles_of_scan(Settings(stages=words))] == stages


@pytest.mark.parametrize(
    "words", ["", "2", "musicnn", "musicnn,1", "1,1", "1,fma518", "0", "4", "1,", "1;2", "-1", "²"]
)
def test_what_names_no_cascade_is_a_usage_error_that_says_what_would(words: str) -> None:
    with pytest.raises(UsageError, match=r"say 1 \(the first alone\), 1,efficientat or auto"):
        bundles_of_scan(Settings(stages=words))


def test_a_stage_without_weights_is_left_out_unless_it_was_asked_for() -> None:
    cascade = cascade_for(Settings(), load(), None)
    assert [stage.name for stage in cascade.stages] == ["fma518"]
    assert list(cascade.absent) == ["efficientat"]
    assert "reclass models" in cascade.absent["efficientat"]
    with pytest.raises(MissingWeights) as caught:
        cascade_for(Settings(stages="1,musicnn"), load(), None)
    assert isinstance(caught.value, ReclassError)
    assert cascade_for(Settings(stages="1"), load(), None).absent == {}


def test_a_wrong_stage_stops_a_scan_before_it_reads(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    assert shell("scan", library.folder, "--stages", "7", "--yes") == 2
    assert "There are no stages '7'" in shell.err
    assert shell("history") == 0
    assert shell.out == ""


def interrupted(shell: Shell, path: Path, *, staged: bool, temporary: Path | None = None) -> None:
    """A run that was killed while it changed `path`, of which the library knows nothing yet."""
    database = Database(shell.db, durable=True)
    journal = Journal(database)
    run = journal.begin_run("scan", {"paths": ["/m"]})
    copy = temporary or path.with_name(".reclass-1234.tmp")
    change = journal.plan(
        run, Intention(str(path), "mp3", None, ("Rock",), (), str(copy), b"", b"", path.parent.stat().st_mtime_ns)
    )
    if staged:
        journal.stage(change, payload=b"p", sha_before=b"before", sha_after=b"after", size_after=1, patch=None)
    database.close()


def test_a_change_that_was_planned_and_never_made_is_given_up(library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune("a.mp3"))
    interrupted(shell, song, staged=False)
    before = song.read_bytes()
    with writing(Settings(db=shell.db), "apply") as work:
        assert list(work.journal.open_changes()) == []
    assert song.read_bytes() == before
    assert shell("history", "1", "--json") == 0
    assert [row["state"] for row in shell.objects()] == ["abandoned"]


def test_a_change_that_had_been_made_counts_as_written_and_its_file_as_known(
    library: DecidedLibrary, shell: Shell
) -> None:
    (song,) = library.add(Tune("a.mp3"))
    song.write_bytes(song.read_bytes() + b"\0")  # what the killed run left
    interrupted(shell, song, staged=True)
    with writing(Settings(db=shell.db), "apply") as work:
        (size,) = work.database.connection.execute("SELECT size FROM track").fetchone()
        assert size == song.stat().st_size
    assert shell("history", "1", "--json") == 0
    assert [row["state"] for row in shell.objects()] == ["written"]


def test_a_change_on_a_disk_that_is_away_stays_open_and_is_named_each_time(
    library: DecidedLibrary, shell: Shell, tmp_path: Path
) -> None:
    library.add(Tune("a.mp3"))
    away = tmp_path / "disk" / "b\x1b[2J.mp3"
    away.parent.mkdir()
    interrupted(shell, away, staged=True)
    away.parent.rmdir()
    for _ in range(2):
        assert shell("apply", "--dry-run") == 0
        assert "b\\x1b[2J.mp3: an interrupted change is still open" in shell.err
        assert "is a disk not mounted?" in shell.err
    away.parent.mkdir()
    assert shell("apply", "--dry-run") == 0
    assert shell.err == ""


def test_a_copy_of_another_program_is_never_deleted(library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune("a.mp3"))
    other = song.with_name("precious.txt")
    other.write_text("precious")
    interrupted(shell, song, staged=True, temporary=other)
    assert shell("apply", "--dry-run") == 0
    assert other.read_text() == "precious"


def test_reading_settles_nothing(library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune("a.mp3"))
    interrupted(shell, song, staged=False)
    for words in (["status"], ["history"], ["export"], ["genres", "audit"]):
        shell(*words)
    assert shell("history", "1", "--json") == 0
    assert [row["state"] for row in shell.objects()] == ["planned"]


def test_the_lease_and_both_connections_are_free_after_an_error(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    with pytest.raises(ZeroDivisionError), writing(Settings(db=shell.db), "apply"):
        raise ZeroDivisionError
    with writing(Settings(db=shell.db), "undo") as work:
        assert Library(work.database).totals()["tracks"] == 1
        with pytest.raises(DatabaseError, match="reclass undo"), writing(Settings(db=shell.db), "scan"):
            pass
    assert not [name for name in os.listdir(shell.db.parent) if name.endswith("-wal")]


def test_the_exit_policy_of_the_settings_counts_with_the_seconds_of_the_library(tmp_path: Path) -> None:
    settings = Settings(device="cpu", effort="quick")
    assert exit_policy(settings, None).label == "expected (quick)"
    assert exit_policy(Settings(device="cpu", exit_policy="fixed:0.7"), None).label == "fixed:0.7"
    assert cascade_for(settings, load(), None).policy.label == "expected (quick)"
    database = Database(tmp_path / "library.sqlite3")
    scans = Scans(database)
    scans.save(ScanStats(stages={"musicnn": StageStats(extracted=20, seconds=80.0)}))
    assert exit_policy(settings, database).measured == {}  # too few to say anything
    scans.save(ScanStats(stages={"musicnn": StageStats(extracted=200, seconds=200.0)}))
    assert exit_policy(settings, database).measured == {"musicnn": 1.0}
    assert exit_policy(Settings(device="cuda:1"), None).seconds["mert"] < exit_policy(settings, None).seconds["mert"]
    database.close()


def test_a_prior_is_named_in_genres_that_the_stages_know() -> None:
    prior = cascade_for(Settings(prior="Jazz=0.6, heavy metal=0.1,rnb=.1"), load(), None).prior
    assert prior is not None
    assert dict(prior.shares) == {"Jazz": 0.6, "Rock": 0.1, "Soul-RnB": 0.1}
    weights = cascade_for(Settings(prior="Jazz=30,Blues=10"), load(), None).prior
    assert weights is not None
    assert dict(weights.shares) == {"Jazz": 0.75, "Blues": 0.25}
    assert cascade_for(Settings(), load(), None).prior is None


@pytest.mark.parametrize("words", ["Nonsensecore=0.5", "Jazz", "Jazz=much", "Jazz=-1", "=1", "Jazz=nan", "Jazz=0", ","])
def test_a_prior_that_makes_no_sense_is_a_usage_error_with_an_example(words: str) -> None:
    with pytest.raises(UsageError, match=r"Jazz=0\.7,Blues=0\.1"):
        cascade_for(Settings(prior=words), load(), None)


def test_a_library_with_few_votes_is_decided_without_a_prior_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database(tmp_path / "library.sqlite3")
    assert cascade_for(Settings(prior="library"), load(), database).prior is None
    assert "the votes on 0 tracks; 200 are the least" in capsys.readouterr().err
    database.close()
