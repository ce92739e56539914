"""What the walk leaves out, and what it does with roots, links and folders that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from music_reclass.utils.files import AUDIO_SUFFIXES, walk


def make(folder: Path, *names: str, size: int = 1) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


def found(*roots: Path, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[str]:
    """The paths below the first root, or whole where they lie elsewhere."""
    base = os.path.realpath(roots[0]) + "/"
    return [track.path.removeprefix(base) for track in walk([*map(str, roots)], include=include, exclude=exclude)]


def test_a_track_comes_with_its_size_and_its_time(tmp_path: Path) -> None:
    make(tmp_path, "song.mp3", size=321)
    os.utime(tmp_path / "song.mp3", ns=(5, 1_700_000_000_123_456_789))
    (track,) = walk([str(tmp_path)])
    assert (track.size, track.mtime_ns) == (321, 1_700_000_000_123_456_789)
    assert (track.digest, track.decision, track.error) == (None, None, None)


def test_the_suffix_counts_in_any_case_and_only_at_the_end(tmp_path: Path) -> None:
    make(tmp_path, "a.FlAc", "b.mp3.part", "c.mp3.jpg", "mp3", "d.OGG", "e.")
    assert found(tmp_path) == ["a.FlAc", "d.OGG"]


def test_a_folder_named_like_a_song_is_a_folder(tmp_path: Path) -> None:
    make(tmp_path, "best of.mp3/inside.ogg")
    assert found(tmp_path) == ["best of.mp3/inside.ogg"]


def test_what_is_no_plain_file_is_not_audio(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    make(tmp_path, "song.mp3")
    assert found(tmp_path) == ["song.mp3"]


@pytest.mark.parametrize("folder", ["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"])
def test_the_bins_of_systems_are_left_out_at_any_depth_and_only_by_their_whole_name(
    folder: str, tmp_path: Path
) -> None:
    make(tmp_path, f"a/b/{folder}/gone.mp3", f"a/b/not {folder}/kept.mp3")
    assert found(tmp_path) == [f"a/b/not {folder}/kept.mp3"]


def test_a_bin_that_is_itself_named_as_the_root_is_walked(tmp_path: Path) -> None:
    make(tmp_path, "#recycle/song.mp3")
    assert found(tmp_path / "#recycle") == ["song.mp3"]


def test_an_ignore_file_holds_for_the_folders_below_it_and_not_beside_it(tmp_path: Path) -> None:
    make(tmp_path, "a/deep/deeper/demo_1.mp3", "a/song.mp3", "b/demo_2.mp3")
    (tmp_path / "a" / ".reclassignore").write_text("demo_*\n")
    assert found(tmp_path) == ["a/song.mp3", "b/demo_2.mp3"]


def test_an_ignore_file_names_folders_with_or_without_a_slash(tmp_path: Path) -> None:
    make(tmp_path, "one/1.mp3", "two/2.mp3", "three/3.mp3")
    (tmp_path / ".plexignore").write_text("one/\n\n  two  \n# three\n")
    assert found(tmp_path) == ["three/3.mp3"]


def test_an_ignore_file_of_comments_alone_leaves_the_whole_folder_out(tmp_path: Path) -> None:
    make(tmp_path, "a/1.mp3", "b/2.mp3")
    (tmp_path / "a" / ".reclassignore").write_text("# nothing here\n")
    assert found(tmp_path) == ["b/2.mp3"]


def test_an_ignore_file_that_is_no_utf8_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    make(tmp_path, "keep.mp3", "drop.mp3")
    (tmp_path / ".reclassignore").write_bytes(b"\xff\xfe\ndrop.mp3\n")
    assert found(tmp_path) == ["keep.mp3"]


def test_globs_look_at_the_name_and_at_the_whole_path(tmp_path: Path) -> None:
    make(tmp_path, "Live/a.mp3", "Studio/b.mp3", "Studio/live.mp3")
    assert found(tmp_path, exclude=("*/Live/*",)) == ["Studio/b.mp3", "Studio/live.mp3"]
    assert found(tmp_path, include=("live.*",)) == ["Studio/live.mp3"]
    assert found(tmp_path, include=("*.mp3",), exclude=("?.mp3",)) == ["Studio/live.mp3"]


def test_globs_never_make_audio_of_another_file(tmp_path: Path) -> None:
    make(tmp_path, "cover.jpg", "song.mp3")
    assert found(tmp_path, include=("*.jpg",)) == []


def test_a_root_inside_another_is_not_walked_twice(tmp_path: Path) -> None:
    make(tmp_path, "a/1.mp3", "2.mp3")
    assert found(tmp_path, tmp_path / "a", tmp_path) == ["2.mp3", "a/1.mp3"]


def test_a_link_to_a_song_is_the_song_it_leads_to(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/real.mp3")
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "link.mp3").symlink_to(tmp_path / "elsewhere" / "real.mp3")
    assert found(tmp_path / "music") == [os.path.realpath(tmp_path / "elsewhere" / "real.mp3")]
    assert found(tmp_path / "music" / "link.mp3") == [os.path.realpath(tmp_path / "elsewhere" / "real.mp3")]


def test_a_link_to_a_folder_elsewhere_is_followed_once(tmp_path: Path) -> None:
    make(tmp_path, "disk/1.mp3")
    (tmp_path / "music").mkdir()
    for name in ("first", "second"):
        (tmp_path / "music" / name).symlink_to(tmp_path / "disk", target_is_directory=True)
    assert found(tmp_path / "music") == [os.path.realpath(tmp_path / "disk" / "1.mp3")]


def test_an_unreadable_folder_is_reported_and_its_neighbours_are_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/1.mp3", "locked/2.mp3", "z/3.mp3")
    scandir = os.scandir

    def guarded(folder: str) -> object:
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    errors: list[tuple[str, str | None]] = []
    tracks = walk([str(tmp_path)], on_error=lambda path, error: errors.append((path, error.strerror)))
    assert [os.path.basename(track.path) for track in tracks] == ["1.mp3", "3.mp3"]
    assert errors == [(os.path.realpath(tmp_path / "locked"), "Permission denied")]


def test_errors_that_nobody_asks_for_are_passed_over(tmp_path: Path) -> None:
    assert found(tmp_path / "gone") == []


def test_the_walk_opens_no_music_file(tmp_path: Path) -> None:
    make(tmp_path, "song.mp3")
    (tmp_path / "song.mp3").chmod(0)
    assert found(tmp_path) == ["song.mp3"]


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda name: not name.startswith(".")
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stems=st.sets(names, min_size=1, max_size=6), suffix=st.sampled_from(sorted(AUDIO_SUFFIXES)))
def test_every_name_that_a_file_can_have_is_found_once_and_in_order(
    stems: set[str], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for stem in stems:
        (folder / (stem + suffix)).write_bytes(b"")
    assert found(folder) == sorted(stem + suffix for stem in stems)


@pytest.mark.parametrize("kind", ["pipe", "device", "large", "link to a pipe"])
def test_an_ignore_file_that_is_no_plain_file_of_sane_size_hangs_nothing(kind: str, tmp_path: Path) -> None:
    make(tmp_path, "a/1.mp3", "b/2.mp3")
    place = tmp_path / "a" / ".plexignore"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    elif kind == "large":
        place.write_bytes(b"x\n" * 2**20)
    else:
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to(tmp_path / "pipe")
    errors: list[str] = []
    found = [Path(one.path).name for one in walk([str(tmp_path)], on_error=lambda path, why: errors.append(str(why)))]
    assert found == ["2.mp3"]
    assert len(errors) == 1
    assert "its .plexignore is no plain file of at most 1 MB" in errors[0]


@pytest.mark.parametrize("text", ["x\n" * 400_000, "[" * 200_000 + "\n", "*a" * 20_000])
def test_an_ignore_file_of_endless_globs_leaves_its_folder_out(text: str, tmp_path: Path) -> None:
    make(tmp_path, "a/1.mp3", "b/2.mp3")
    (tmp_path / "a" / ".reclassignore").write_text(text)
    errors: list[str] = []
    found = [Path(one.path).name for one in walk([str(tmp_path)], on_error=lambda path, why: errors.append(str(why)))]
    assert found == ["2.mp3"]
    assert len(errors) == 1
    assert "its .reclassignore holds more than 10,000 globs" in errors[0]


def test_globs_may_be_relative_to_the_scanned_folder_or_to_that_of_the_ignore_file(tmp_path: Path) -> None:
    make(tmp_path, "live/1.mp3", "live/2.ogg", "Ida/live/3.mp3", "Ida/4.mp3")
    assert found(tmp_path, exclude=("live/*",)) == ["Ida/4.mp3", "Ida/live/3.mp3"]
    assert found(tmp_path, exclude=("./live/*",)) == ["Ida/4.mp3", "Ida/live/3.mp3"]
    assert found(tmp_path, include=("Ida/*",)) == ["Ida/4.mp3", "Ida/live/3.mp3"]
    (tmp_path / "Ida" / ".reclassignore").write_text("live/*\n")
    assert found(tmp_path) == ["Ida/4.mp3", "live/1.mp3", "live/2.ogg"]


def test_a_walk_ends_where_it_is_asked_to_in_folders_without_music_too(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}").mkdir()
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 5

    assert list(walk([str(tmp_path)], stop=stop)) == []
    assert len(asked) == 6


def test_only_files_of_the_chosen_folders_are_met_and_rules_from_above_hold(tmp_path: Path) -> None:
    for name in ("loose.mp3", "A/1.mp3", "A/CD1/2.mp3", "A/extra/3.mp3", "B/4.mp3", "C/5.mp3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".reclassignore").write_text("C\n")
    opened: list[str] = []

    def met(*folders: str) -> list[str]:
        only = {str(tmp_path / folder) if folder else str(tmp_path) for folder in folders}
        files = walk((str(tmp_path),), only=only, on_error=lambda path, error: opened.append(path))
        return [os.path.relpath(file.path, tmp_path) for file in files]

    assert met("A", "A/CD1") == ["A/1.mp3", "A/CD1/2.mp3"]
    assert met("") == ["loose.mp3"]
    assert met("C") == []
    assert met("gone/away") == []


def test_no_folder_is_opened_that_does_not_lie_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A/1.mp3", "A/below/2.mp3", "B/3.mp3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    opened: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (opened.append(os.path.relpath(path, tmp_path)), scandir(path))[1])
    assert len(list(walk((str(tmp_path),), only={str(tmp_path / "A")}))) == 1
    assert opened == [".", "A"]
