"""The one way a file is replaced: verified, everything kept, and untouched if anything is odd."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mutagen
import pytest

from music_reclass.containers.sniff import payload_digest
from music_reclass.errors import DatabaseError, FailTrack
from music_reclass.extractors.audio.load import load
from music_reclass.features.journal import Change, Journal
from music_reclass.tagging import commit
from music_reclass.tagging.commit import WriteOptions, replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_genres
from music_reclass.tagging.undo import recover, undo
from tests.tagging.samples import KINDS, sample, tagged, without_id3

Place = Callable[..., Path]


def sha(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def write(journal: Journal, path: Path, *genres: str, **options: Any) -> int | None:
    run = journal.begin_run("apply", {})
    return replace_file(journal, run, path, write_genres(genres or ("Rock", "Jazz")), **options)


def only_change(journal: Journal) -> Change:
    changes = [change for run in journal.runs() for change in journal.changes_of(run.id)]
    assert len(changes) == 1
    assert isinstance(changes[0], Change)
    return changes[0]


def assert_untouched(journal: Journal, path: Path, before: bytes) -> None:
    assert sha(path) == before
    assert [one.name for one in path.parent.iterdir() if one.name.startswith(".reclass")] == []
    assert list(journal.open_changes()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_written_and_journaled(journal: Journal, place: Place, kind: str) -> None:
    path = place(kind)
    before, before_bytes = read_tags(path).genres, path.read_bytes()
    number = write(journal, path)
    assert read_tags(path).genres == ("Rock", "Jazz")
    change = only_change(journal)
    assert (change.state, change.intention.before, change.intention.after) == ("written", before, ("Rock", "Jazz"))
    assert (change.sha_after, change.size_after) == (sha(path), path.stat().st_size)
    assert (change.id, change.mtime_after) == (number, path.stat().st_mtime_ns)
    assert change.intention.sha_before == hashlib.sha256(before_bytes).digest()
    assert change.intention.payload == payload_digest(path)
    assert os.listdir(path.parent) == [path.name]


def test_a_file_that_says_it_already_is_not_touched(journal: Journal, place: Place) -> None:
    path = place()
    write(journal, path)
    before = path.stat()
    assert write(journal, path) is None
    assert path.stat() == before


def test_an_id3v23_tag_stays_one_with_its_rare_frames(journal: Journal, place: Place) -> None:
    path = place("mp3 v2.3")
    write(journal, path)
    tag = mutagen.id3.ID3(path, translate=False)
    assert tag.version == (2, 3, 0)
    assert (tag["TSIZ"].text, tag["TRDA"].text) == (["4711"], ["May"])
    data = path.read_bytes()
    assert b"XYZW\0\0\0\x07\0\0unknown" in data
    assert b"\x07secret" in data
    assert data[-128:] == tagged("mp3 v2.3")[-128:]  # the ID3v1 tag


def test_mode_and_attributes_survive(journal: Journal, place: Place) -> None:
    path = place()
    path.chmod(0o640)
    try:
        os.setxattr(path, "user.rating", b"five")
    except OSError:
        pytest.skip("this disk keeps no extended attributes")
    write(journal, path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.getxattr(path, "user.rating") == b"five"


def test_the_owner_survives(journal: Journal, place: Place) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path = place()
    os.chown(path, 1234, 2345)
    write(journal, path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def test_the_modification_time_is_new_unless_asked_for(journal: Journal, place: Place) -> None:
    path = place()
    os.utime(path, ns=(10**18, 10**18))
    write(journal, path, "Rock")
    assert path.stat().st_mtime > time.time() - 60
    os.utime(path, ns=(10**18, 10**18 + 7))
    write(journal, path, "Jazz", options=WriteOptions(preserve_mtime=True))
    assert path.stat().st_mtime_ns == 10**18 + 7


def test_a_symlink_stays_one(journal: Journal, place: Place, tmp_path: Path) -> None:
    path = place()
    link = tmp_path / "link.mp3"
    link.symlink_to(path)
    write(journal, link)
    assert link.is_symlink()
    assert read_tags(path).genres == ("Rock", "Jazz")
    assert only_change(journal).intention.path == str(path)


def test_a_hard_linked_file_is_left_unless_it_may_be_detached(journal: Journal, place: Place, tmp_path: Path) -> None:
    path, before = place(), tagged("mp3 v2.3")
    other = tmp_path / "other.mp3"
    os.link(path, other)
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason == "hard_link"
    assert_untouched(journal, path, hashlib.sha256(before).digest())
    write(journal, path, options=WriteOptions(detach_hard_links=True))
    assert read_tags(path).genres == ("Rock", "Jazz")
    assert other.read_bytes() == before


def test_names_that_are_no_text_are_no_obstacle(journal: Journal, place: Place) -> None:
    path = place()
    strange = Path(os.fsdecode(os.fsencode(path.parent) + b"/new\nline \xff\xfe.mp3"))
    path.rename(strange)
    write(journal, strange)
    assert read_tags(strange).genres == ("Rock", "Jazz")
    assert only_change(journal).intention.path == str(strange)


def test_a_file_changed_since_the_scan_is_left(journal: Journal, place: Place) -> None:
    path = place()
    status = path.stat()
    with pytest.raises(FailTrack) as caught:
        write(journal, path, known=(status.st_size, status.st_mtime_ns - 1))
    assert caught.value.reason == "changed"
    assert write(journal, path, known=(status.st_size, status.st_mtime_ns)) is not None


@pytest.mark.parametrize("step", ["examine", "plan", "copy", "verify", "stage"])
def test_a_file_changed_by_somebody_else_meanwhile_is_left_to_them(journal: Journal, place: Place, step: str) -> None:
    path = place()

    def meddle(done: str) -> None:
        if done == step:
            with path.open("ab") as file:
                file.write(b"more")

    with pytest.raises(FailTrack) as caught:
        write(journal, path, after_step=meddle)
    assert caught.value.reason in ("changed", "verify")
    assert_untouched(journal, path, hashlib.sha256(tagged("mp3 v2.3") + b"more").digest())


def test_a_new_mode_meanwhile_is_not_lost(journal: Journal, place: Place) -> None:
    path = place()
    with pytest.raises(FailTrack) as caught:
        write(journal, path, after_step=lambda done: path.chmod(0o600) if done == "copy" else None)
    assert caught.value.reason == "changed"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_noticed_before_and_survived_when_it_comes(
    journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place()
    before = sha(path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason == "no_space"
    assert_untouched(journal, path, before)
    monkeypatch.undo()
    usage = commit.shutil.disk_usage(path)
    monkeypatch.setattr(commit.shutil, "disk_usage", lambda folder: usage._replace(free=path.stat().st_size))
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason == "no_space"
    assert_untouched(journal, path, before)


def test_a_read_only_file_is_left(journal: Journal, place: Place) -> None:
    path = place()
    path.chmod(0o444)
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason == "permission"
    assert_untouched(journal, path, sha(path))


def test_a_read_only_folder_is_a_typed_failure(journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place()
    real = os.open

    def refused(name: Any, flags: int, *rest: Any, **more: Any) -> int:
        if ".reclass-" in str(name):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(name, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refused)  # root may write anywhere, so the refusal is acted
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason == "permission"
    monkeypatch.undo()
    assert_untouched(journal, path, sha(path))


def test_without_the_journal_nothing_is_touched(journal: Journal, place: Place, database_path: Path) -> None:
    path = place()
    before = sha(path)
    run = journal.begin_run("apply", {})
    journal.database.connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(database_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match="locked"):
        replace_file(journal, run, path, write_genres(["Rock"]))
    other.execute("ROLLBACK")
    other.close()
    assert_untouched(journal, path, before)


@pytest.mark.parametrize("step", ["copy", "look again", "replace"])
def test_a_journal_locked_on_the_way_leaves_a_state_that_recovers(
    journal: Journal, place: Place, database_path: Path, step: str
) -> None:
    path = place()
    before = sha(path)
    journal.database.connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(database_path, isolation_level=None)

    def lock(done: str) -> None:
        if done == step:
            other.execute("BEGIN IMMEDIATE")
            if step == "look again":
                raise FailTrack("io", "something else went wrong at the same time")

    with pytest.raises((DatabaseError, FailTrack)):
        write(journal, path, after_step=lock)
    other.execute("ROLLBACK")
    other.close()
    recover(journal)
    change = only_change(journal)
    assert (change.state, sha(path) == before) == (("written", False) if step == "replace" else ("abandoned", True))


def test_a_tag_that_does_not_parse_is_never_replaced_by_a_fresh_one(journal: Journal, place: Place) -> None:
    path = place("mp3 v2.4")
    data = bytearray(path.read_bytes())
    data[20:40] = b"\xff" * 20
    path.write_bytes(data)
    before = sha(path)
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason in ("tags", "bug")
    assert path.name in caught.value.detail
    assert_untouched(journal, path, before)


def test_a_file_that_is_read_only_by_us_is_named_unsupported(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "tune.mka"
    path.write_bytes(sample("mka"))
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason == "unsupported"


@pytest.mark.parametrize("kind", ["mp3 v2.3", "flac", "vorbis", "aac", "wav info", "wma", "wavpack"])
def test_a_copy_that_reads_back_wrong_is_thrown_away(
    journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = place(kind)
    before = sha(path)
    real = commit.patched

    def flipped(source: Any, edits: Any) -> Any:
        data = bytearray(b"".join(real(source, edits)))
        data[len(data) * 3 // 4] ^= 1  # one bit of the sound
        yield bytes(data)

    monkeypatch.setattr(commit, "patched", flipped)
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason in ("verify", "tags", "bug")
    monkeypatch.undo()
    assert_untouched(journal, path, before)


def test_a_lost_title_is_noticed(journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place("flac")
    before = sha(path)
    real = commit.patched
    monkeypatch.setattr(
        commit, "patched", lambda source, edits: [b"".join(real(source, edits)).replace(b"A Title", b"A Titel")]
    )
    with pytest.raises(FailTrack) as caught:
        write(journal, path)
    assert caught.value.reason == "verify"
    monkeypatch.undo()
    assert_untouched(journal, path, before)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("step", ["plan", "copy", "verify", "stage", "look again"])
def test_an_interruption_leaves_nothing_behind(
    journal: Journal, place: Place, stop: type[BaseException], step: str
) -> None:
    path = place()
    before = sha(path)

    def interrupt(done: str) -> None:
        if done == step:
            raise stop

    with pytest.raises(stop):
        write(journal, path, after_step=interrupt)
    assert_untouched(journal, path, before)
    assert only_change(journal).state == "abandoned"


def test_genres_that_are_none_are_a_programming_error() -> None:
    for genres in ([], [""], [" "], ["a\0b"]):
        with pytest.raises(ValueError, match="genres"):
            write_genres(genres)


def test_the_journal_keeps_few_bytes_a_file(journal: Journal, place: Place) -> None:
    path = place("mp3 v2.4")
    write(journal, path)
    patch = only_change(journal).patch
    assert patch is not None
    assert len(patch) < 200


@pytest.mark.parametrize("kind", ["mp3 v2.3", "flac", "vorbis"])
def test_a_file_is_read_once_to_be_copied_and_its_copy_once_to_be_verified(
    journal: Journal, place: Place, kind: str
) -> None:
    path = long_file(place, kind)
    with counted_bytes() as count:
        write(journal, path)
    assert count() < 3 * path.stat().st_size


@pytest.mark.parametrize("kind", ["mp3 v2.3", "flac", "vorbis"])
def test_an_undo_reads_no_more_than_a_write(journal: Journal, place: Place, kind: str) -> None:
    path = long_file(place, kind)
    before = sha(path)
    write(journal, path)
    with counted_bytes() as count:
        undo(journal, journal.runs()[0].id)
        read = count()
    assert read < 3 * path.stat().st_size
    assert sha(path) == before


def long_file(place: Place, kind: str) -> Path:
    """A file with so much sound that what is read of its structure does not matter."""
    path = place(kind)
    more = sample("opus") if kind == "vorbis" else bytes(range(256)) * 64
    with path.open("ab") as file:
        file.write(more * ((6 << 20) // len(more)))
    return path


@contextmanager
def counted_bytes() -> Iterator[Callable[[], int]]:
    """How many bytes this process reads from files meanwhile."""
    counter = Path("/proc/self/io")
    if not counter.exists():
        pytest.skip("this system does not count the bytes that a process reads")
    start = int(counter.read_text().split()[1])
    yield lambda: int(counter.read_text().split()[1]) - start


def test_an_mp3_behind_zeros_is_written(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "tune.mp3"
    path.write_bytes(bytes(2000) + without_id3(sample("mp3")))
    digest = payload_digest(path)
    assert len(load(path, "full").samples) > 40_000
    assert write(journal, path) is not None
    assert read_tags(path).genres == ("Rock", "Jazz")
    assert payload_digest(path) == digest


@pytest.mark.parametrize("length", [66, 67, 68])
def test_a_genre_of_any_length_goes_into_an_ape_tag(journal: Journal, tmp_path: Path, length: int) -> None:
    path = tmp_path / "tune.wv"
    path.write_bytes(sample("wavpack"))
    genres = ("x" * (length - 14),)  # the item is as long as `length`; with 67 the tag has 131 bytes
    change = replace_file(journal, journal.begin_run("apply", {}), path, write_genres(genres))
    assert change is not None
    assert read_tags(path).genres == genres
