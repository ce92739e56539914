"""Killed between any two steps of a write or of an undo, every file ends as it was or as it should be."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.tagging import commit
from music_reclass.tagging.commit import STEPS, replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_genres
from music_reclass.tagging.undo import recover, undo

Place = Callable[..., Path]
NAMES = [name for name, _ in STEPS]
HALFWAY = ["half a copy", "before the folder is synced"]
KILLS = [*NAMES, *HALFWAY]


def sha(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(step: str) -> Callable[[str], None]:
    """What a process does to be killed at `step`; call it in a child only."""
    if step == "half a copy":
        real = commit.patched

        def half(source: object, edits: object) -> object:
            data = b"".join(real(source, edits))  # type: ignore[arg-type]
            yield data[: len(data) // 2]  # more than a buffer holds, so it is in the file
            die()

        commit.patched = half  # type: ignore[assignment]
    elif step == "before the folder is synced":
        commit.sync_folder = lambda folder: die()
    return lambda done: die() if done == step else None


def in_a_child(work: Callable[[], None]) -> None:
    """Run `work` in another process, which must be killed in it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def reopened(database: Path) -> Journal:
    return Journal(Database(database, durable=True))


def states(journal: Journal) -> list[str]:
    return [change.state for run in journal.runs() for change in journal.changes_of(run.id)]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["mp3 v2.3", "aac tight"])
@pytest.mark.parametrize("step", KILLS)
def test_a_write_killed_at_any_step_is_settled(database_path: Path, place: Place, step: str, kind: str) -> None:
    path = place(kind)
    old = path.read_bytes()

    def write() -> None:
        journal = reopened(database_path)
        replace_file(journal, journal.begin_run("apply", {}), path, write_genres(["Rock"]), after_step=killed_at(step))

    in_a_child(write)
    journal = reopened(database_path)
    recover(journal)
    assert os.listdir(path.parent) == [path.name]
    assert list(journal.open_changes()) == []
    replaced = step in ("replace", "sync folder", "confirm", "before the folder is synced")
    assert read_tags(path).genres == (("Rock",) if replaced else ("Other",))
    assert replaced or path.read_bytes() == old

    again = replace_file(journal, journal.begin_run("apply", {}), path, write_genres(["Rock"]))
    assert (again is None) == replaced
    for run in journal.runs():
        undo(journal, run.id)
    assert path.read_bytes() == old
    assert set(states(journal)) <= {"undone", "abandoned", "written"}
    journal.database.close()


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("step", KILLS)
def test_an_undo_killed_at_any_step_is_settled(database_path: Path, place: Place, step: str, edited: bool) -> None:
    path = place("flac", ("Other",))
    old = path.read_bytes()
    journal = reopened(database_path)
    run = journal.begin_run("apply", {})
    replace_file(journal, run, path, write_genres(["Rock"]))
    journal.database.close()
    if edited:  # by another program: then the field alone comes back
        path.write_bytes(path.read_bytes().replace(b"A Title", b"B Title"))

    def undo_run() -> None:
        undo(reopened(database_path), run, after_step=killed_at(step))

    in_a_child(undo_run)
    journal = reopened(database_path)
    report = undo(journal, run)
    assert report.counts["failed"] == report.counts["left"] == 0
    assert path.read_bytes() == (old.replace(b"A Title", b"B Title") if edited else old)
    assert os.listdir(path.parent) == [path.name]
    assert list(journal.open_changes()) == []
    assert [change.state for change in journal.changes_of(run)] == ["undone"]  # type: ignore[union-attr]
    assert sum(undo(journal, run).counts.values()) == 0
    journal.database.close()


def staged(journal: Journal, path: Path) -> Path:
    """A change that was interrupted right before the replacement; the copy's path."""
    rows: list[Path] = []

    def stop(done: str) -> None:
        if done == "stage":
            (copy,) = path.parent.glob(".reclass-*")
            rows.append(copy.with_name("kept"))
            os.link(copy, rows[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(journal, journal.begin_run("apply", {}), path, write_genres(["Rock"]), after_step=stop)
    (change,) = (change for run in journal.runs() for change in journal.changes_of(run.id))
    temporary = Path(change.intention.temporary) if hasattr(change, "intention") else path  # cleared by now
    name = path.with_name(".reclass-0000000000000000.tmp") if temporary == Path() else temporary
    rows[0].rename(name)
    sql = journal.database.connection
    sql.execute("UPDATE change SET state = 'staged', temporary = ? WHERE id = ?", (os.fsencode(name), change.id))
    return name


def test_a_file_edited_after_the_kill_is_not_overwritten(journal: Journal, place: Place) -> None:
    path = place()
    copy = staged(journal, path)
    path.write_bytes(b"something new")
    assert [(one.path, one.outcome) for one in recover(journal)] == [(str(path), "abandoned")]
    assert not copy.exists()
    assert path.read_bytes() == b"something new"


def test_a_file_that_moved_after_the_replacement_can_still_be_taken_back(journal: Journal, place: Place) -> None:
    path = place()
    old = path.read_bytes()
    copy = staged(journal, path)
    moved = path.with_name("moved.mp3")
    copy.rename(moved)
    path.unlink()
    assert [(one.path, one.outcome) for one in recover(journal)] == [(str(path), "confirmed")]
    run = journal.last_undoable_run()
    assert run is not None
    undo(journal, run, find=lambda payload: [str(moved)])
    assert moved.read_bytes() == old


def test_an_unmounted_disk_is_waited_for(journal: Journal, place: Place, tmp_path: Path) -> None:
    path = place()
    staged(journal, path)
    path.parent.rename(tmp_path / "away")
    assert [(one.path, one.outcome) for one in recover(journal)] == [(str(path), "unsettled")]
    (tmp_path / "away").rename(path.parent)
    assert [(one.path, one.outcome) for one in recover(journal)] == [(str(path), "abandoned")]
    assert os.listdir(path.parent) == [path.name]


def test_nothing_but_reclass_copies_is_ever_deleted(journal: Journal, place: Place, tmp_path: Path) -> None:
    path = place()
    copy = staged(journal, path)
    precious = place(name="precious")
    elsewhere = tmp_path / copy.name
    elsewhere.write_bytes(b"precious")
    for victim in (precious, elsewhere):
        journal.database.connection.execute("UPDATE change SET state = 'staged', temporary = ?", (os.fsencode(victim),))
        recover(journal)
        assert victim.exists()


def test_a_row_that_makes_no_sense_does_not_stop_the_others(journal: Journal, place: Place) -> None:
    path = place()
    copy = staged(journal, path)
    sql = journal.database.connection
    columns = "run_id, path, format, state, payload, sha_before, mtime_before, planned, changed"
    sql.execute(
        f"INSERT INTO change (id, raw_before, {columns}) SELECT 99, '{{', {columns} FROM change"  # noqa: S608
    )
    assert sorted((one.outcome, one.path) for one in recover(journal)) == [
        ("abandoned", str(path)),
        ("unsettled", str(path)),
    ]
    assert not copy.exists()
