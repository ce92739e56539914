"""The walk finds audio, leaves the rest alone and comes to an end."""

import os
from pathlib import Path

from music_reclass.utils.files import mtime_ns, walk


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(*roots: Path, **options: object) -> list[str]:
    return [os.path.basename(found.path) for found in walk([str(root) for root in roots], **options)]  # type: ignore[arg-type]


def test_audio_is_found_in_order_and_other_files_are_not(tmp_path: Path) -> None:
    make(tmp_path, "b/2.MP3", "b/1.flac", "a/cover.jpg", "a/song.m4a", "notes.txt")
    assert names(tmp_path) == ["song.m4a", "1.flac", "2.MP3"]


def test_hidden_and_system_folders_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, ".hidden.mp3", "._resource.mp3", "@eaDir/thumb.mp3", ".git/a.mp3", "ok.mp3")
    assert names(tmp_path) == ["ok.mp3"]


def test_a_named_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    make(tmp_path, "strange.dat")
    assert names(tmp_path / "strange.dat") == ["strange.dat"]


def test_symlink_loops_end_and_nothing_is_found_twice(tmp_path: Path) -> None:
    make(tmp_path, "a/song.mp3")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "broken.mp3").symlink_to(tmp_path / "gone.mp3")
    errors: list[str] = []
    found = [f.path for f in walk([str(tmp_path)], on_error=lambda path, error: errors.append(path))]
    assert found == [os.path.realpath(tmp_path / "a" / "song.mp3")]


def test_ignore_files_and_globs_leave_things_out(tmp_path: Path) -> None:
    make(tmp_path, "keep/1.mp3", "keep/2.ogg", "drop/3.mp3", "keep/live_4.mp3")
    (tmp_path / "drop" / ".reclassignore").write_text("")
    (tmp_path / "keep" / ".plexignore").write_text("# bootlegs\nlive_*\n")
    assert names(tmp_path) == ["1.mp3", "2.ogg"]
    assert names(tmp_path, include=["*.ogg"]) == ["2.ogg"]
    assert names(tmp_path, exclude=["*.ogg"]) == ["1.mp3"]


def test_names_with_newlines_and_invalid_utf8_are_found(tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/a\nb.mp3", os.O_CREAT))
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff\xfe.mp3", os.O_CREAT))
    found = sorted(os.fsencode(os.path.basename(f.path)) for f in walk([str(tmp_path)]))
    assert found == [b"a\nb.mp3", b"\xff\xfe.mp3"]


def test_a_missing_root_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    make(tmp_path, "1.mp3")
    errors: list[str] = []
    roots = [str(tmp_path / "gone"), str(tmp_path)]
    assert len(list(walk(roots, on_error=lambda path, error: errors.append(path)))) == 1
    assert errors == [str(tmp_path / "gone")]


def test_a_time_that_no_database_can_hold_is_the_last_that_one_can(tmp_path: Path) -> None:
    def status(mtime: int) -> os.stat_result:
        return os.stat_result((0,) * 10, {"st_mtime_ns": mtime})

    times = (-(2**70), -5, 0, 10**18, 2**63 - 1, 2**63, 2**64)
    assert [mtime_ns(status(one)) for one in times] == [1 - 2**63, -5, 0, 10**18, *[2**63 - 1] * 3]
