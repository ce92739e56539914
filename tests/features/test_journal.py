"""The journal keeps every intention and what became of it, whatever happens around it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from music_reclass.errors import DatabaseError
from music_reclass.features.database import Database
from music_reclass.features.journal import Change, DamagedChange, Genres, Intention, Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(Database(tmp_path / "library.sqlite3", durable=True))
    yield journal
    journal.database.close()


def intention(path: str = "/music/a.mp3", before: Genres = None, undoes: int | None = None) -> Intention:
    raw = (("TCON/3", b"\0\0\x01\xff\xfe"), ("IGNR", b"Rock\0"))
    return Intention(path, "mpeg", before, ("Rock", "Jazz"), raw, "/music/.reclass-1.tmp", b"p", b"b", 17, undoes)


def change(journal: Journal, number: int) -> Change:
    found = journal.change(number)
    assert isinstance(found, Change)
    return found


def test_an_intention_is_kept_to_the_letter(journal: Journal) -> None:
    run = journal.begin_run("apply", {"yes": True})
    for before in (None, (), ("", "Ærø; ✓")):
        number = journal.plan(run, intention("/music/\udcff\n.mp3", before))
        assert change(journal, number).intention == intention("/music/\udcff\n.mp3", before)
        assert change(journal, number).state == "planned"


def test_a_change_goes_from_planned_over_staged_to_written_and_undone(journal: Journal) -> None:
    run = journal.begin_run("apply", {})
    number = journal.plan(run, intention())
    journal.stage(number, payload=b"p", sha_before=b"b", sha_after=b"a", size_after=99, patch=b"patch")
    assert [one.id for one in journal.open_changes()] == [number]
    journal.confirm(number, 18)
    written = change(journal, number)
    assert (written.state, written.sha_after, written.size_after, written.mtime_after) == ("written", b"a", 99, 18)
    assert (written.patch, written.intention.temporary) == (b"patch", "")
    assert journal.last_undoable_run() == run
    journal.mark_undone(number, "it was as before")
    assert (change(journal, number).state, change(journal, number).note) == ("undone", "it was as before")
    assert journal.last_undoable_run() is None
    assert list(journal.open_changes()) == []


def test_an_abandoned_change_keeps_why_and_no_patch(journal: Journal) -> None:
    number = journal.plan(journal.begin_run("apply", {}), intention())
    journal.stage(number, payload=b"p", sha_before=b"b", sha_after=b"a", size_after=99, patch=b"patch")
    journal.abandon(number, "the disk is full")
    kept = change(journal, number)
    assert (kept.state, kept.note, kept.patch) == ("abandoned", "the disk is full", None)


def test_confirming_what_takes_a_change_back_undoes_it_in_the_same_breath(journal: Journal) -> None:
    run = journal.begin_run("apply", {})
    first = journal.plan(run, intention())
    journal.stage(first, payload=b"p", sha_before=b"b", sha_after=b"a", size_after=1, patch=b"patch")
    journal.confirm(first, 1)
    second = journal.plan(journal.begin_run("undo", {"run": run}), intention(undoes=first))
    journal.stage(second, payload=b"p", sha_before=b"b", sha_after=b"b", size_after=1, patch=None)
    journal.confirm(second, 1)
    assert (change(journal, first).state, change(journal, second).state) == ("undone", "written")
    assert journal.last_undoable_run() is None


def test_the_journal_knows_files_that_were_written_undone_or_not(journal: Journal) -> None:
    run = journal.begin_run("watch", {})
    for name in ("written", "undone", "abandoned"):
        number = journal.plan(run, intention(name))
        if name == "abandoned":
            journal.abandon(number, "")
            continue
        journal.stage(number, payload=b"p", sha_before=b"b", sha_after=b"a", size_after=1, patch=b"patch")
        journal.confirm(number, 1)
        if name == "undone":
            journal.mark_undone(number, "")
    journal.plan(run, intention("planned"))
    names = ("written", "undone", "abandoned", "planned", "never")
    assert [name for name in names if journal.knows(name)] == ["written", "undone"]


def test_runs_tell_what_they_were_told_and_did(journal: Journal) -> None:
    run = journal.begin_run("scan", {"paths": ["/music"]})
    for name in "abc":
        number = journal.plan(run, intention(name))
        journal.stage(number, payload=b"p", sha_before=b"b", sha_after=b"a", size_after=1, patch=b"patch")
        journal.confirm(number, 1)
    journal.mark_undone(number, "")
    journal.finish_run(run, {"written": 3})
    empty = journal.begin_run("scan", {})
    newest, oldest = journal.runs()
    assert (newest.id, newest.finished, newest.summary, newest.written) == (empty, None, None, 0)
    assert (oldest.command, oldest.arguments, oldest.summary) == ("scan", {"paths": ["/music"]}, {"written": 3})
    assert (oldest.written, oldest.undone) == (2, 1)
    assert (journal.command_of(run), journal.command_of(99)) == ("scan", None)


def test_the_changes_of_a_run_come_newest_first(journal: Journal) -> None:
    run = journal.begin_run("apply", {})
    numbers = [journal.plan(run, intention(name)) for name in "abc"]
    assert [one.id for one in journal.changes_of(run)] == numbers[::-1]
    assert [one.id for one in journal.changes_of(run, newest_first=False)] == numbers


def test_a_malformed_row_skips_only_itself(journal: Journal) -> None:
    run = journal.begin_run("apply", {})
    numbers = [journal.plan(run, intention(name)) for name in "abc"]
    journal.database.connection.execute("UPDATE change SET raw_before = '[[' WHERE id = ?", (numbers[1],))
    journal.database.connection.execute("UPDATE run SET arguments = '{', summary = '7'")
    kinds = [type(one) for one in journal.changes_of(run)]
    assert kinds == [Change, DamagedChange, Change]
    assert journal.runs()[0].arguments == {}


def test_a_locked_database_is_one_sentence(journal: Journal, tmp_path: Path) -> None:
    run = journal.begin_run("apply", {})
    journal.database.connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "library.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match="locked"):
        journal.plan(run, intention())
    other.close()
    assert list(journal.open_changes()) == []


def test_an_unknown_change_is_a_key_error(journal: Journal) -> None:
    with pytest.raises(KeyError):
        journal.change(7)


def test_every_statement_waits_for_the_disk(journal: Journal) -> None:
    assert journal.database.connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
