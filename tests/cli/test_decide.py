"""`decide`: your word on a genre is stored, listed, imported, written and taken back; no model changes it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from music_reclass.tagging.read import read_tags
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell, digests


def exported(shell: Shell) -> dict[str, dict[str, object]]:
    assert shell("export", "--format", "jsonl") == 0
    return shell.by_name()


def genres(path: Path) -> tuple[str, ...] | None:
    return read_tags(path).genres


@pytest.fixture
def song(scanned: Path) -> Path:
    return sorted(path for path in scanned.rglob("*.mp3"))[0]


def test_a_decision_holds_over_relabel_and_rescan_and_is_written_over_another_genre(
    scanned: Path, song: Path, shell: Shell
) -> None:
    assert shell("decide", song, "hip hop", "--json") == 0
    assert shell.objects() == [{"stored": 1, "tracks": 1, "scope": "track", "genres": ["Hip-Hop"]}]
    for command in (("relabel",), ("scan", scanned, "-j", "1", "--stages", "1", "-n", "--rescan")):
        assert shell(*command) == 0
        row = exported(shell)[song.name]
        assert (row["genres"], row["reason"], row["confidence"]) == (["Hip-Hop"], "chosen", 1.0)
    before = digests(scanned)
    assert shell("explain", song) == 0
    assert "chose Hip-Hop, which holds (with decide)\nso        write Hip-Hop" in shell.out
    assert shell("explain", song, "--json") == 0
    assert shell.objects()[0]["user"]["genres"] == ["Hip-Hop"]
    assert shell.objects()[0]["action"] == "write"
    assert shell("apply", scanned, "-y") in (0, 1)
    assert genres(song) == ("Hip-Hop",)
    while shell("undo", "-y") == 0:
        pass
    assert digests(scanned) == before


def test_the_last_word_is_the_genre_or_several_and_an_unknown_one_stores_nothing(
    library: DecidedLibrary, shell: Shell
) -> None:
    one, two = library.add(Tune("One/a.mp3"), Tune("Two/b.mp3"))
    assert shell("decide", one, two, "Jaz") == 2
    assert "did you mean Jazz" in shell.err
    assert shell("decide", one) == 2
    assert shell("decide", library.folder / "nowhere", "Jazz") == 3
    assert shell("decide", "--list", "--json") == 0
    assert shell.objects() == []
    assert shell("decide", one, two, "Jazz; Folk", "-n") == 0
    assert shell("decide", "--list") == 3
    assert shell("decide", one, two, "Jazz; Folk") == 0
    assert exported(shell)["a.mp3"]["genres"] == exported(shell)["b.mp3"]["genres"] == ["Jazz", "Folk"]


def test_leave_keeps_hands_off_and_forget_takes_it_back(library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune("a.mp3", "Rock", ("Other",)))
    assert shell("decide", song, "--leave") == 0
    assert shell("apply", "-y", "--on-existing", "replace") in (0, 3)
    assert genres(song) == ("Other",)
    assert exported(shell)["a.mp3"]["reason"] == "left"
    assert shell("decide", song, "--forget", "--json") == 0
    assert shell.objects() == [{"forgotten": 1, "still": []}]
    assert shell("decide", "--list", "--json") == 0
    assert shell.objects() == []


def test_a_list_says_who_when_and_from_where(
    library: DecidedLibrary, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ida")
    one, _ = library.add(Tune("One/a.mp3"), Tune("Two/b.mp3"))
    assert shell("decide", one, "Jazz") == 0
    assert shell("decide", "--list", "--json") == 0
    (row,) = shell.objects()
    assert (row["scope"], row["genres"], row["source"], row["author"]) == ("track", ["Jazz"], "decide", "ida")
    assert row["decided"] > 1e9
    assert row["title"]
    assert shell("decide", "--list", library.folder / "One") == 0
    assert "ida, decide" in shell.out
    assert shell("status") == 0
    assert "1 decision of yours" in shell.out
    assert shell("status", "--json") == 0
    assert shell.objects()[0]["user_decisions"] == 1


def test_a_wider_decision_that_still_holds_is_named(scanned: Path, song: Path, shell: Shell) -> None:
    assert shell("decide", song, "Jazz", "--scope", "artist") == 0
    assert shell("decide", song, "--forget") == 0
    assert "still holds: --forget --scope artist" in shell.out
    assert shell("decide", song, "--forget", "--scope", "artist", "--json") == 0
    assert shell.objects() == [{"forgotten": 1, "still": []}]


def test_it_is_written_at_once_where_that_is_asked_for_and_undone(library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune("a.mp3", "Rock", ("Pop",)))
    before = digests(library.folder)
    assert shell("decide", song, "Jazz", "--write", "-y") == 0
    assert genres(song) == ("Jazz",)
    assert shell("decide", song, "--forget") == 0
    assert shell("undo", "-y") == 0
    assert digests(library.folder) == before


def test_a_list_is_imported_whole(scanned: Path, song: Path, shell: Shell, tmp_path: Path) -> None:
    tags = read_tags(song)
    other = next(p for p in sorted(scanned.rglob("*.flac")) if read_tags(p).artist != tags.artist)
    file = tmp_path / "mine.csv"
    file.write_text(
        "Path,Scope,Genre,artist,album\n"
        f"{os.path.relpath(song, tmp_path)},,Jazz; Folk,,\n"
        f",,leave,{read_tags(other).artist.upper()},\n\n"
    )
    assert shell("decide", "--from", file, "-n", "--json") == 0
    assert shell.objects() == [{"stored": 0, "decisions": 2}]
    assert shell("decide", "--from", file, "--json") == 0
    assert shell.objects() == [{"stored": 2, "decisions": 2}]
    rows = exported(shell)
    assert rows[song.name]["genres"] == ["Jazz", "Folk"]
    assert rows[other.name]["reason"] == "left"
    assert shell("decide", "--list", "--json") == 0
    assert {row["source"] for row in shell.objects()} == {"list mine.csv"}


def test_every_bad_line_is_named_and_none_is_stored_half(library: DecidedLibrary, shell: Shell, tmp_path: Path) -> None:
    (song,) = library.add(Tune("a.mp3"))
    file = tmp_path / "mine.csv"
    file.write_text(
        f"path;genre;scope\n{song};Jazz;\n{song};Jaz;\nnowhere.mp3;Jazz;\n{song};;\n{song};Jazz;album\n"
        f"{song};Jazz;song\n{song};Rock;\n"
    )
    assert shell("decide", "--from", file) == 2
    for line, why in (
        (3, "no genre 'Jaz'"), (4, "no track of the library lies at nowhere.mp3"), (5, "no genre is named"),
        (7, "no scope 'song'"), (8, "line 2 says"),
    ):  # fmt: skip
        assert any(f"mine.csv:{line}: " in text and why in text for text in shell.err.lower().splitlines()) or any(
            f"mine.csv:{line}: " in text and why in text for text in shell.err.splitlines()
        ), (line, shell.err)
    assert "Nothing was stored" in shell.err
    assert shell("decide", "--list", "--json") == 0
    assert shell.objects() == []


@pytest.mark.parametrize("text", ["", "name,title\nx,y\n", 'path,genre\n"unclosed,Jazz\n', "path,genre\n\xff"])
def test_what_is_no_list_is_refused(text: str, library: DecidedLibrary, shell: Shell, tmp_path: Path) -> None:
    library.add(Tune("a.mp3"))
    file = tmp_path / "mine.csv"
    file.write_bytes(text.encode("latin-1"))
    assert shell("decide", "--from", file) == 2
    assert shell("decide", "--from", file.with_name("absent.csv")) == 2
    assert "absent.csv cannot be read: No such file or directory." in shell.err
    assert shell("decide", "--from", file, library.folder) == 2
    assert shell("decide", "--list", "--leave") == 2


def test_the_tracks_that_teach_most_are_listed_and_nothing_is_decided(scanned: Path, song: Path, shell: Shell) -> None:
    assert shell("decide", "--next", "3", "--json") == 0
    found = shell.objects()
    assert len(found) == 3
    assert all(set(row) == {"path", "guesses", "before"} for row in found)
    assert shell("decide", found[0]["path"], "Jazz") == 0
    assert shell("decide", "--next", "20", "--json") == 0
    assert found[0]["path"] not in {row["path"] for row in shell.objects()}
    json.dumps(found)


def test_a_genre_that_was_edited_elsewhere_is_your_word_from_the_next_scan_on(
    scanned: Path, song: Path, shell: Shell
) -> None:
    import mutagen

    scan = ("scan", scanned, "-j", "1", "--stages", "1")
    assert shell(*scan, "-y", "--on-existing", "replace") == 0
    wrote = genres(song)
    assert wrote
    file = mutagen.File(song, easy=True)
    file["genre"] = ["Krautrock"]
    file.save()
    assert shell(*scan, "-n") == 0
    assert exported(shell)[song.name]["genres"] == ["Krautrock"]
    assert shell("explain", song) == 0
    assert "in the tag of the file" in shell.out
    assert shell(*scan, "-y", "--on-existing", "replace") == 0
    assert genres(song) == ("Krautrock",)
