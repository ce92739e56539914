"""What bad input gets: a typed row each, the rest goes on, nothing is lost, and never a traceback."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.features.migrations import STEPS
from tests.library import Shell, digests

EXPECTED = {
    "empty.mp3": ("skipped", "no_audio"),
    "text.mp3": ("skipped", "not_audio"),
    "random.flac": ("skipped", "not_audio"),
    "silent.wav": ("skipped", "silence"),
    "short.wav": ("skipped", "too_short"),
    "video only.mp4": ("skipped", "no_audio"),
    "headless.m4a": ("failed", "decode"),
}
READABLE = {
    "good.flac", "flac inside.mp3", "telephone.wav", "surround.flac", "studio.flac", "cut.flac", "line\nbreak.mp3",
    os.fsdecode(b"not utf8 \xff\xfe.mp3"), "read-only.mp3",
}  # fmt: skip


def video_without_sound(path: Path) -> None:
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.fixture(scope="module")
def odd_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each odd kind."""
    folder = tmp_path_factory.mktemp("odd") / "Music"
    folder.mkdir()
    tune = song(seed=4, seconds=8)
    encode(folder / "good.flac", tune)
    encode(folder / "line\nbreak.mp3", tune)
    shutil.copy(folder / "line\nbreak.mp3", os.fsencode(folder) + b"/not utf8 \xff\xfe.mp3")
    shutil.copy(folder / "line\nbreak.mp3", folder / "read-only.mp3")
    (folder / "read-only.mp3").chmod(0o444)
    shutil.copy(folder / "good.flac", folder / "flac inside.mp3")
    content = (folder / "good.flac").read_bytes()
    (folder / "cut.flac").write_bytes(content[: len(content) * 4 // 5])
    encode(folder / "whole.m4a", tune)
    content = (folder / "whole.m4a").read_bytes()
    (folder / "headless.m4a").write_bytes(content[: len(content) // 2])
    (folder / "whole.m4a").unlink()
    encode(folder / "telephone.wav", tune[::5], rate=8820)
    encode(folder / "surround.flac", np.repeat(tune, 3, axis=1))
    encode(folder / "studio.flac", np.repeat(tune, 2, axis=0), rate=88200)
    encode(folder / "silent.wav", np.zeros((44100 * 6, 2), np.float32))
    encode(folder / "short.wav", song(seed=4, seconds=0.2))
    (folder / "empty.mp3").touch()
    (folder / "text.mp3").write_text("shopping list, " * 500)
    (folder / "random.flac").write_bytes(np.random.default_rng(0).bytes(50_000))
    video_without_sound(folder / "video only.mp4")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "nowhere.mp3").symlink_to(folder / "gone.mp3")
    return folder


def test_every_odd_file_gets_its_own_typed_row_and_the_rest_goes_on(odd_files: Path, shell: Shell) -> None:
    before = digests(odd_files)
    assert shell("scan", odd_files, "--dry-run", "--json") == 1
    found = shell.by_name()
    assert set(found) == set(EXPECTED) | READABLE
    assert {name: (found[name]["outcome"], found[name]["reason"]) for name in EXPECTED} == EXPECTED
    for name in READABLE:
        assert found[name]["outcome"] in {"confident", "likely", "unsure"}, (name, found[name])
    assert "truncated" in found["cut.flac"]["warnings"]
    assert shell.err == ""
    assert digests(odd_files) == before
    assert shell("status", "--failed", "--json") == 0
    assert {name: (item["outcome"], item["reason"]) for name, item in shell.by_name().items()} == EXPECTED
    assert shell("scan", odd_files, "--dry-run") == 0
    assert "16 tracks, all known." in shell.out


def test_a_read_only_file_is_named_and_left(odd_files: Path, shell: Shell) -> None:
    before = digests(odd_files)
    shell("scan", odd_files / "read-only.mp3", "--yes", "--json", "--on-existing", "replace")
    (item,) = shell.objects()
    if item["action"] == "write":
        assert "permission" in item["problem"]
        assert shell.codes[-1] == 1
    assert digests(odd_files) == before


@pytest.mark.parametrize(
    ("make", "code", "sentence"),
    [
        (lambda path: None, 3, "does not exist"),
        (lambda path: path.mkdir(), 3, "No audio files below"),
        (lambda path: (path.mkdir(), (path / "cover.jpg").touch()), 3, "No audio files below"),
    ],
)
def test_a_folder_without_music_is_one_sentence(
    make: object, code: int, sentence: str, tmp_path: Path, shell: Shell
) -> None:
    make(tmp_path / "folder")  # type: ignore[operator]
    assert shell("scan", tmp_path / "folder") == code
    assert sentence in shell.err
    assert len(shell.err.splitlines()) == 1


def test_a_folder_that_may_not_be_read_is_one_sentence(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)  # tests may run as root, whom no mode stops
    assert shell("scan", tmp_path / "locked") == 3
    assert "cannot be read: Permission denied" in shell.err


@pytest.mark.parametrize(
    "words",
    [["scan"], ["scan", ".", "--on-existing", "all"], ["nonsense"], ["scan", ".", "--jobs", "many"], ["undo", "x"]],
)
def test_wrong_words_are_a_usage_error(words: list[str], shell: Shell) -> None:
    assert shell(*words) == 2


def test_undo_names_a_word_that_is_no_run_and_no_path_and_makes_no_library(shell: Shell, tmp_path: Path) -> None:
    assert shell("undo", "lats") == 2
    assert shell.err.startswith("reclass: lats is neither the number of a run nor a file or folder; reclass history")
    assert shell("undo", tmp_path / "gone.mp3") == 3
    assert shell.err.endswith("gone.mp3 does not exist, and nothing that reclass wrote there still stands.\n")
    assert shell("undo", tmp_path) == 3
    assert "There is no library" in shell.err
    assert not shell.db.exists()


def test_a_missing_library_and_a_missing_run_are_one_sentence(music: Path, shell: Shell) -> None:
    for words in (["status"], ["undo"], ["history"], ["apply"], ["export"], ["genres", "audit"]):
        assert shell(*words) == 3, words
        assert len(shell.err.splitlines()) == 1
        assert not shell.db.exists()
    shell("scan", music / "Grid Nine", "--dry-run")
    assert shell("undo", "99", "--yes") == 3
    assert "There is no run 99" in shell.err


def test_a_newer_a_foreign_and_a_locked_database_are_exit_code_four(
    scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(shell.db, steps=(*STEPS, "CREATE TABLE later (x INTEGER) STRICT;")).close()
    assert shell("scan", scanned) == 4
    assert "newer release" in shell.err
    shell.db.write_bytes(b"no database at all " * 1000)
    assert shell("scan", scanned) == 4
    assert "not a reclass database" in shell.err
    for path in shell.db.parent.glob("library.sqlite3*"):
        path.unlink()
    Database(shell.db).close()
    monkeypatch.setattr("music_reclass.features.database.BUSY_SECONDS", 0.1)
    holder = sqlite3.connect(shell.db, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert shell("scan", scanned) == 4
    assert "locked by another program" in shell.err
    holder.close()


def test_a_full_disk_under_the_database_is_one_sentence_and_nothing_is_half_stored(
    music: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own page limit fails in the same way as a disk without room: SQLITE_FULL."""
    shell("scan", music / "Grid Nine", "--dry-run")
    opened = Database._open

    def small(self: Database, path: Path, durable: bool, frozen: bool = False) -> sqlite3.Connection:
        connection = opened(self, path, durable, frozen)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_open", small)
        assert shell("scan", music, "--dry-run") == 4
        assert "full" in shell.err
    assert shell("scan", music, "--dry-run") == 0
    assert "11 tracks" in shell.out


def test_a_damaged_database_is_one_sentence_whatever_asks_for_it(scanned: Path, shell: Shell) -> None:
    shell("scan", scanned, "--dry-run")
    content = bytearray(shell.db.read_bytes())
    content[len(content) // 3 :] = b"\xa5" * (len(content) - len(content) // 3)
    shell.db.write_bytes(content)
    for command in ("status", "export", "report", "history"):
        code = shell(command)
        assert (code, "is damaged" in shell.err) in ((4, True), (0, False)), command
    assert 4 in shell.codes


def test_a_library_of_an_older_schema_that_cannot_be_backed_up_is_one_sentence(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(shell.db, steps=STEPS[:1]).close()
    monkeypatch.setattr("music_reclass.features.database.time.time", lambda: 7.0)
    shell.db.with_name(f"{shell.db.name}.schema-1.7.backup").mkdir()
    assert shell("status") == 4
    assert "no backup of it could be made" in shell.err
