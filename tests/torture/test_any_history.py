"""Writes, edits by others, renames, kills and undos in any order: the journal tells the truth, and bytes come back.

The long form (`--slow`) takes many more examples, and longer ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import mutagen
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from music_reclass.containers.sniff import payload_digest
from music_reclass.errors import TrackError
from music_reclass.features.database import Database
from music_reclass.features.journal import Change, Journal
from music_reclass.tagging.commit import STEPS, WriteOptions, replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_tags
from music_reclass.tagging.undo import UNDO, recover, undo
from tests.tagging.samples import SUFFIX_OF_KIND, tagged

KINDS = ("mp3 v2.3", "mp3 untagged", "mp3 v2.3 ape", "flac", "vorbis", "aac tight", "wav info", "aiff bare", "wma")
GENRES = st.sampled_from([("Rock",), ("Jazz", "Blues"), ("R&B; Soul",), ("Ünïcode ✓",), ("x" * 300,)])
STYLES = st.sampled_from(["", "Punk", "Bebop"])
KILLS = [name for name, _ in STEPS]


class Killed(BaseException):
    """What stands for kill -9 between two steps: nothing is cleaned up, as `commit` cannot be told."""


class Library(RuleBasedStateMachine):
    """Files, a journal of them, and what must be true of both whatever happened."""

    files = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="reclass-test-"))
        self.music = self.folder / "music"
        self.music.mkdir()
        self.journal = Journal(Database(self.folder / "library.sqlite3"))
        self.journal.database.connection.execute("PRAGMA synchronous = OFF")
        self.contents: dict[str, bytes] = {}  # what each file holds, by its path, as far as nothing of ours is open
        self.payloads: dict[str, bytes] = {}
        self.original: dict[str, bytes] = {}  # of files that nobody but us has changed
        self.count = 0

    def teardown(self) -> None:
        self.journal.database.close()
        shutil.rmtree(self.folder)

    # --- what happens ------------------------------------------------------------------------------------------------

    @rule(target=files, kind=st.sampled_from(KINDS), mtime=st.integers(0, 2**40))
    def arrive(self, kind: str, mtime: int) -> str:
        self.count += 1
        path = self.music / f"{self.count}{SUFFIX_OF_KIND[kind]}"
        path.write_bytes(tagged(kind))
        os.utime(path, ns=(mtime, mtime))
        self._note(path)
        self.original[str(path)] = path.read_bytes()
        return str(path)

    @rule(file=files, genres=GENRES, style=STYLES, keep=st.booleans())
    def write(self, file: str, genres: tuple[str, ...], style: str, keep: bool) -> None:
        path, run = Path(file), self.journal.begin_run("apply", {})
        try:
            replace_file(self.journal, run, path, write_tags(genres, style), options=WriteOptions(preserve_mtime=keep))
        except TrackError:
            assert self._unchanged(path)
            return
        assert read_tags(path).genres == genres
        self._note(path)

    @rule(file=files, genres=GENRES, step=st.sampled_from(KILLS), settle=st.booleans())
    def killed_while_writing(self, file: str, genres: tuple[str, ...], step: str, settle: bool) -> None:
        path = Path(file)
        if not path.exists():
            return

        child = os.fork()
        if not child:
            self._die_at(step, lambda journal, after: replace_file(
                journal, journal.begin_run("apply", {}), path, write_tags(genres), after_step=after))  # fmt: skip
        os.waitpid(child, 0)
        if settle:
            recover(self.journal)
        content = path.read_bytes()
        assert content == self.contents[file] or read_tags(path).genres == genres
        self._note(path)

    @rule(data=st.data(), step=st.sampled_from(KILLS))
    @precondition(lambda self: self._undoable())
    def killed_while_undoing(self, data: st.DataObject, step: str) -> None:
        run = data.draw(st.sampled_from(self._undoable()))
        child = os.fork()
        if not child:
            self._die_at(step, lambda journal, after: undo(journal, run, after_step=after))
        os.waitpid(child, 0)
        recover(self.journal)
        self._note_all()

    @rule(data=st.data(), force=st.booleans())
    @precondition(lambda self: self._undoable())
    def undo_one(self, data: st.DataObject, force: bool) -> None:
        run = data.draw(st.sampled_from(self._undoable()))
        changes = [change for change in self.journal.changes_of(run) if isinstance(change, Change)]
        was = {
            change.intention.path: self._sha(change.intention.path) for change in changes if change.state == "written"
        }
        report = undo(self.journal, run, force=force)
        for change in changes:
            path = change.intention.path
            if change.state == "written" and was[path] == change.sha_after:
                assert self._sha(path) == change.intention.sha_before, "a file that was as left is not as before"
        if not report.problems:
            assert not [one for one in self._changes() if one.run == run and one.state == "written"]
        self._note_all()

    @rule(file=files, what=st.sampled_from(["title", "genre", "junk", "gone", "touched"]))
    def edited_by_others(self, file: str, what: str) -> None:
        path = Path(file)
        if not path.exists():
            return
        self.original.pop(file, None)
        if what == "junk":
            with path.open("ab") as end:
                end.write(bytes(40))
        elif what == "gone":
            path.unlink()
        elif what == "touched":
            os.utime(path, ns=(7, 7))
        else:
            tags = mutagen.File(path, easy=True)
            if tags is None or not hasattr(tags, "add_tags") or tags.tags is None:
                return
            try:
                tags[what] = ["Folk" if what == "genre" else "New title"]
                tags.save()
            except (KeyError, ValueError, TypeError, mutagen.MutagenError):
                pass
        self._note(path)

    @rule(target=files, file=files)
    def renamed(self, file: str) -> str:
        path = Path(file)
        self.count += 1
        new = path.with_name(f"{self.count} moved{path.suffix}")
        if path.exists():
            path.rename(new)
        for known in (self.contents, self.payloads, self.original):
            if file in known:
                known[str(new)] = known.pop(file)
        return str(new)

    # --- what must be true -------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_or_left(self) -> None:
        if not list(self.journal.open_changes()):
            assert not [name for name in os.listdir(self.music) if name.startswith(".reclass")]
        for file, content in self.contents.items():
            path = Path(file)
            assert path.read_bytes() == content

    @invariant()
    def the_sound_is_as_it_was(self) -> None:
        for file, payload in self.payloads.items():
            assert payload_digest(Path(file)) == payload

    @invariant()
    def the_journal_tells_the_truth(self) -> None:
        """The newest change that stands on a file that only we have changed is what the file holds."""
        if list(self.journal.open_changes()):
            return
        for file, original in self.original.items():
            written = [one for one in self._changes() if one.intention.path == file and one.state == "written"]
            standing = [one for one in written if one.intention.undoes is None]
            if not standing:
                moved = [
                    one for one in self._changes() if one.intention.sha_before == hashlib.sha256(original).digest()
                ]
                assert Path(file).read_bytes() == original or moved
            else:
                # An older change undone beneath a newer one leaves what neither had: the row of the undo says it.
                assert any(one.sha_after == self._sha(file) for one in written)

    # --- how ---------------------------------------------------------------------------------------------------------

    def _undoable(self) -> list[int]:
        return [run.id for run in self.journal.runs() if run.command != UNDO and run.written]

    def _changes(self) -> list[Change]:
        found = [one for run in self.journal.runs() for one in self.journal.changes_of(run.id)]
        return [one for one in found if isinstance(one, Change)]

    def _sha(self, file: str) -> bytes:
        path = Path(file)
        return hashlib.sha256(path.read_bytes()).digest() if path.exists() else b""

    def _unchanged(self, path: Path) -> bool:
        return (path.read_bytes() if path.exists() else None) == self.contents.get(str(path))

    def _note(self, path: Path) -> None:
        """Take the file as it is now for what it holds; its sound may change by the hands of others only."""
        if not path.exists():
            self.contents.pop(str(path), None)
            self.payloads.pop(str(path), None)
            return
        self.contents[str(path)] = path.read_bytes()
        if str(path) in self.original or str(path) not in self.payloads:
            self.payloads.setdefault(str(path), payload_digest(path))
        else:
            self.payloads[str(path)] = payload_digest(path)

    def _note_all(self) -> None:
        for file in list(self.contents):
            self._note(Path(file))

    def _die_at(self, step: str, work: object) -> None:
        """In a child: do the work and be gone right behind a step, with nothing cleaned up."""
        try:
            journal = Journal(Database(self.folder / "library.sqlite3"))
            work(journal, lambda done: os._exit(9) if done == step else None)  # type: ignore[operator]
        finally:
            os._exit(0)


def run_machine(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Library,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def test_the_bytes_come_back_after_any_history() -> None:
    run_machine(5, 20)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_the_bytes_come_back_after_many_long_histories() -> None:
    run_machine(400, 50)
