"""Undo gives the very bytes back, or the genre, or says why it left a file alone."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mutagen
import mutagen.flac
import mutagen.id3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.containers.edits import Edit, pack
from music_reclass.errors import FailTrack, NothingToDo, TrackError, UsageError
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.tagging.commit import replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_genres
from music_reclass.tagging.undo import FileResult, undo
from tests.containers.test_formats import GENRES
from tests.tagging.samples import FIXED, KINDS, SUFFIX_OF_KIND, tagged

Place = Callable[..., Path]
CASES = [(kind, before) for kind in KINDS for before in (("absent",) if kind in FIXED else GENRES)]


def sha(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def written(journal: Journal, *paths: Path, genres: tuple[str, ...] = ("Soul-RnB", "Jazz")) -> int:
    run = journal.begin_run("apply", {})
    for path in paths:
        replace_file(journal, run, path, write_genres(genres))
    return run


def counted(report: Any) -> dict[str, int]:
    return {name: count for name, count in report.counts.items() if count}


@pytest.mark.parametrize(("kind", "before"), CASES)
def test_every_byte_of_every_format_comes_back(tmp_path: Path, kind: str, before: str) -> None:
    journal = Journal(Database(":memory:"))
    path = tmp_path / f"tune{SUFFIX_OF_KIND[kind]}"
    path.write_bytes(tagged(kind, GENRES[before]))
    old = path.stat()
    run = written(journal, path)
    assert path.read_bytes() != tagged(kind, GENRES[before])
    assert counted(undo(journal, run)) == {"restored": 1}
    assert path.read_bytes() == tagged(kind, GENRES[before])
    assert path.stat().st_mtime_ns == old.st_mtime_ns
    assert os.listdir(tmp_path) == [path.name]


# The tag library, which plays the other program, finds no list in QuickTime's `meta`: its edit would drop the genre.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "quicktime" not in kind])
def test_after_a_foreign_edit_the_genre_alone_comes_back(journal: Journal, place: Place, kind: str) -> None:
    path = place(kind)
    before = read_tags(path).genres
    run = written(journal, path)
    edit_title(path)
    report = undo(journal, run)
    assert counted(report) == {"field": 1}
    assert [problem.path for problem in report.problems] == [str(path)]
    assert read_tags(path).genres == before
    assert read_tags(path).title[:3] == "B T"
    assert counted(undo(journal, run)) == {}


def edit_title(path: Path) -> None:
    """Another program changes the title, or adds one."""
    data = changed = path.read_bytes()
    for old, new in (("A Title", "B Title"), ("A Tune", "B Tune")):
        for coding in ("ascii", "utf-16-le"):
            changed = changed.replace(old.encode(coding), new.encode(coding))
    if changed != data and path.suffix not in (".ogg", ".opus"):  # whose pages have checksums
        path.write_bytes(changed)
        return
    file: Any = mutagen.File(path)
    if isinstance(file.tags, mutagen.id3.ID3):
        file.tags.add(mutagen.id3.TIT2(encoding=1, text=["B Title"]))
    else:
        file["\xa9nam" if path.suffix == ".m4a" else "Title"] = "B Title"
    file.save()


def test_a_genre_that_was_absent_is_absent_again_after_a_foreign_edit(journal: Journal, place: Place) -> None:
    path = place("flac", None)
    run = written(journal, path)
    edit_title(path)
    undo(journal, run)
    assert "genre" not in mutagen.flac.FLAC(path)
    assert read_tags(path).genres is None


def test_a_genre_set_since_is_left_unless_forced(journal: Journal, place: Place) -> None:
    path = place("flac", ("Other",))
    run = written(journal, path)
    file = mutagen.flac.FLAC(path)
    file["genre"] = "My Genre"
    file.save()
    mine = sha(path)
    report = undo(journal, run)
    assert counted(report) == {"left": 1}
    assert "My Genre" in report.problems[0].detail
    assert sha(path) == mine
    assert counted(undo(journal, run, force=True)) == {"field": 1}
    assert read_tags(path).genres == ("Other",)


def test_a_file_brought_back_by_hand_is_only_marked(journal: Journal, place: Place) -> None:
    path = place()
    before = path.read_bytes()
    run = written(journal, path)
    path.write_bytes(before)
    assert counted(undo(journal, run)) == {"already": 1}
    assert counted(undo(journal, run)) == {}


def test_a_genre_brought_back_by_hand_is_only_marked(journal: Journal, place: Place) -> None:
    path = place("flac", ("Other",))
    run = written(journal, path)
    file = mutagen.flac.FLAC(path)
    file["Genre"], file["title"] = "Other", "x"
    file.save()
    now = sha(path)
    assert counted(undo(journal, run)) == {"already": 1}
    assert sha(path) == now


def test_a_dry_run_reports_and_touches_nothing(journal: Journal, place: Place) -> None:
    path = place()
    run = written(journal, path)
    now = sha(path)
    emitted: list[FileResult] = []
    assert counted(undo(journal, run, dry_run=True, emit=emitted.append)) == {"restored": 1}
    assert (sha(path), [one.outcome for one in emitted]) == (now, ["restored"])
    assert len(journal.runs()) == 1
    assert counted(undo(journal, run)) == {"restored": 1}


def test_a_vanished_file_is_named_and_a_moved_one_found(journal: Journal, place: Place, tmp_path: Path) -> None:
    path = place()
    before = path.read_bytes()
    run = written(journal, path)
    moved = path.rename(tmp_path / "moved.mp3")
    report = undo(journal, run)
    assert counted(report) == {"failed": 1}
    assert "no longer there" in report.problems[0].detail
    asked: list[bytes] = []

    def find(payload: bytes) -> list[str]:
        asked.append(payload)
        return [str(tmp_path / "nothing"), str(moved)]

    assert counted(undo(journal, run, find=find)) == {"restored": 1}
    assert moved.read_bytes() == before
    assert len(asked[0]) == 20


def test_one_file_that_fails_does_not_stop_the_others(journal: Journal, place: Place) -> None:
    paths = [place(name=name) for name in ("a", "b", "c")]
    before = [sha(path) for path in paths]
    run = written(journal, *paths)
    paths[1].chmod(0o444)
    assert counted(undo(journal, run)) == {"restored": 2, "failed": 1}
    paths[1].chmod(0o644)
    report = undo(journal, run)  # what was restored is not looked at again, let alone called changed
    assert counted(report) == {"restored": 1}
    assert [sha(path) for path in paths] == before


@pytest.mark.parametrize("column", ["before", "after", "raw_before"])
@pytest.mark.parametrize("value", ["{", "[1]", '[["x", 1]]'])
def test_one_malformed_row_harms_no_other(journal: Journal, place: Place, column: str, value: str) -> None:
    paths = [place(name=name) for name in ("a", "b")]
    before = [sha(path) for path in paths]
    run = written(journal, *paths)
    journal.database.connection.execute(f"UPDATE change SET {column} = ? WHERE id = 2", (value,))  # noqa: S608
    report = undo(journal, run)
    assert counted(report) == {"restored": 1, "failed": 1}
    assert "row 2" in report.problems[0].detail
    assert sha(paths[0]) == before[0]


@pytest.mark.parametrize("patch", [None, b"", b"\0\x11", b"RP1 damaged"])
def test_without_its_patch_a_file_still_gets_its_genre_back(journal: Journal, place: Place, patch: Any) -> None:
    path = place()
    run = written(journal, path)
    journal.database.connection.execute("UPDATE change SET patch = ?", (patch,))
    assert counted(undo(journal, run)) == {"field": 1}
    assert read_tags(path).genres == ("Other",)


def test_a_patch_of_another_file_is_not_applied(journal: Journal, place: Place) -> None:
    path = place()
    run = written(journal, path)
    now = sha(path)
    journal.database.connection.execute("UPDATE change SET patch = ?", (pack([Edit(3, 9, b"wrong")]),))
    assert counted(undo(journal, run)) == {"failed": 1}
    assert sha(path) == now


def test_two_runs_over_a_file_are_taken_back_newest_first(journal: Journal, place: Place) -> None:
    path = place()
    original = path.read_bytes()
    first = written(journal, path, genres=("Rock",))
    between = path.read_bytes()
    second = written(journal, path, genres=("Jazz",))
    assert counted(undo(journal, first)) == {"left": 1}
    assert journal.last_undoable_run() == second
    undo(journal, second)
    assert path.read_bytes() == between
    assert journal.last_undoable_run() == first
    undo(journal, first)
    assert path.read_bytes() == original
    assert journal.last_undoable_run() is None


def test_an_undo_is_not_itself_undone(journal: Journal, place: Place) -> None:
    run = written(journal, place())
    undo(journal, run)
    newest = journal.runs()[0]
    assert (newest.command, newest.summary and newest.summary["restored"]) == ("undo", 1)
    with pytest.raises(UsageError):
        undo(journal, newest.id)
    with pytest.raises(NothingToDo):
        undo(journal, 999)


def test_undo_stops_when_asked_and_goes_on_later(journal: Journal, place: Place) -> None:
    paths = [place(name=name) for name in ("a", "b", "c")]
    run = written(journal, *paths)
    done: list[FileResult] = []
    undo(journal, run, emit=done.append, stop=lambda: len(done) == 1)
    assert [Path(one.path).stem for one in done] == ["c"]
    assert counted(undo(journal, run)) == {"restored": 2}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    genres=st.lists(
        st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30).map(
            lambda s: "x" + s.strip()
        ),
        min_size=1,
        max_size=4,
        unique=True,
    ),
)
def test_whatever_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, kind: str, genres: list[str]) -> None:
    path = tmp_path_factory.mktemp("undo") / f"tune{SUFFIX_OF_KIND[kind]}"
    path.write_bytes(tagged(kind))
    journal = Journal(Database(":memory:"))
    run = journal.begin_run("apply", {})
    with suppress(FailTrack):  # words that a format cannot say, for instance
        replace_file(journal, run, path, write_genres(genres))
    undo(journal, run)
    assert path.read_bytes() == tagged(kind)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    damage=st.lists(
        st.tuples(st.integers(-400, 600), st.integers(0, 20), st.binary(max_size=12)), min_size=1, max_size=4
    ),
)
def test_a_damaged_file_is_left_as_it_is_or_comes_back_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, kind: str, damage: list[tuple[int, int, bytes]]
) -> None:
    data = bytearray(tagged(kind))
    for at, gone, new in damage:
        start = at % len(data)
        data[start : start + gone] = new
    path = tmp_path_factory.mktemp("damaged") / f"tune{SUFFIX_OF_KIND[kind]}"
    path.write_bytes(data)
    journal = Journal(Database(":memory:"))
    run = journal.begin_run("apply", {})
    try:
        replace_file(journal, run, path, write_genres(["Rock", "Jazz"]))
    except TrackError:
        assert path.read_bytes() == data
    undo(journal, run)
    assert path.read_bytes() == data
    assert os.listdir(path.parent) == [path.name]


def test_a_file_edited_without_a_trace_in_size_and_time_keeps_the_edit(journal: Journal, place: Place) -> None:
    path = place("flac")
    run = written(journal, path)
    left = path.stat()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"A Title", b"B Title"))
    os.utime(path, ns=(left.st_atime_ns, left.st_mtime_ns))
    assert counted(undo(journal, run)) == {"field": 1}
    assert read_tags(path).title[:3] == "B T"
    assert list(journal.open_changes()) == []
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("step", ["preflight", "plan", "copy", "stage"])
def test_a_file_that_is_being_changed_is_left_alone(journal: Journal, place: Place, step: str) -> None:
    path = place("flac")
    run = written(journal, path)

    def still_copied(done: str) -> None:
        if done == step:
            with path.open("ab") as file:
                file.write(b"more")

    left = path.read_bytes()
    assert counted(undo(journal, run, after_step=still_copied)) == {"failed": 1}
    assert path.read_bytes() == left + b"more"
    assert list(journal.open_changes()) == []
    assert os.listdir(path.parent) == [path.name]


def test_a_file_whose_disk_does_not_answer_is_named_and_the_rest_is_undone(
    journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, lost = place("flac"), place("mp3 v2.3", name="lost")
    old = good.read_bytes()
    run = written(journal, good, lost)
    real = Path.exists

    def no_answer(path: Path) -> bool:
        if path == lost:
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(Path, "exists", no_answer)
    report = undo(journal, run)
    assert counted(report) == {"restored": 1, "failed": 1}
    assert [(one.path, "Input/output error" in one.detail) for one in report.problems] == [(str(lost), True)]
    assert good.read_bytes() == old
