"""`status` and `export` of libraries of every size, with every name, and refusals to write over anything."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from music_reclass.cli.library import COLUMNS
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.database import Database
from tests.cli.decided_library import DecidedLibrary, Tune, nowhere
from tests.library import Shell, digests

EVIL = "a\x1b]0;b\x07\u202e\nc"


@pytest.fixture
def mixed(library: DecidedLibrary) -> DecidedLibrary:
    """Two tracks with a genre, one that is uncertain, one skipped and one failed."""
    library.add(
        Tune("One/rock.mp3", "Rock", ("Jazz", "Blues")),
        Tune("One/jazz.mp3", "Jazz"),
        Tune("Two/unsure.mp3", ""),
        Tune("Two/short.mp3", error=SkipTrack("too_short", "0.4 seconds")),
        Tune("Two/broken.mp3", error=FailTrack("decode", f"frame {EVIL}")),
    )
    return library


def test_an_empty_library_has_a_status_and_an_export_of_its_header(shell: Shell, tmp_path: Path) -> None:
    Database(shell.db).close()
    assert shell("status") == 0
    assert shell.out.startswith("library   0 tracks")
    assert shell("status", "--failed") == 0
    assert shell.out == ""
    assert shell("export") == 0
    assert shell.out.split() == [",".join(COLUMNS)]
    assert shell("export", "--format", "jsonl") == 0
    assert shell.out == ""
    assert shell("export", "--format", "m3u", "--out", tmp_path / "lists") == 0
    assert shell.out == ""


def test_the_status_for_programs_counts_by_outcome_reason_and_genre(mixed: DecidedLibrary, shell: Shell) -> None:
    assert shell("status", "--json") == 0
    (found,) = shell.objects()
    assert found["database"] == str(shell.db)
    assert (found["tracks"], found["missing"]) == (5, 0)
    assert found["outcomes"] == {"confident": 2, "unsure": 1, "skipped": 1, "failed": 1}
    assert found["reasons"] == {"failed: decode": 1, "skipped: too_short": 1}
    assert found["genres"] == {"Jazz": 1, "Rock": 1}


def test_one_track_is_one_track(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    assert shell("status") == 0
    assert shell.out.startswith("library   1 track  (")


def test_files_that_were_left_out_are_listed_with_reason_and_detail(mixed: DecidedLibrary, shell: Shell) -> None:
    assert shell("status", "--failed", "--json") == 0
    assert {name: (row["outcome"], row["reason"], row["detail"]) for name, row in shell.by_name().items()} == {
        "short.mp3": ("skipped", "too_short", "0.4 seconds"),
        "broken.mp3": ("failed", "decode", f"frame {EVIL}"),
    }


def test_a_detail_with_escapes_in_it_is_one_line_of_text(mixed: DecidedLibrary, shell: Shell) -> None:
    assert shell("status", "--failed") == 0
    assert len(shell.out.splitlines()) == 2
    assert not {"\x1b", "\x07", "\u202e"} & set(shell.out)
    assert "frame a\\x1b]0;b\\x07\\u202e\\nc" in shell.out


def test_uncertain_tracks_are_listed_with_the_likeliest_guess(mixed: DecidedLibrary, shell: Shell) -> None:
    assert shell("status", "--unsure") == 0
    (line,) = shell.out.splitlines()
    assert line.startswith("unsure    below the threshold")
    assert line.endswith("unsure.mp3  Jazz 0.60")


def test_an_export_has_a_row_for_every_track_in_any_outcome(mixed: DecidedLibrary, shell: Shell) -> None:
    assert shell("export") == 0
    rows = {Path(row["path"]).name: row for row in csv.DictReader(io.StringIO(shell.out))}
    assert len(rows) == 5
    assert (rows["rock.mp3"]["genres"], rows["rock.mp3"]["before"]) == ("Rock", "Jazz; Blues")
    assert (rows["rock.mp3"]["confidence"], rows["rock.mp3"]["stage"]) == ("0.9", "fma518")
    assert (rows["jazz.mp3"]["before"], rows["jazz.mp3"]["duration"]) == ("", "61.4")
    assert (rows["unsure.mp3"]["genres"], rows["unsure.mp3"]["outcome"]) == ("", "unsure")
    assert (rows["broken.mp3"]["outcome"], rows["broken.mp3"]["reason"]) == ("failed", "decode")


def test_a_file_gets_what_stdout_would_get(mixed: DecidedLibrary, shell: Shell, tmp_path: Path) -> None:
    for kind in ("csv", "jsonl"):
        assert shell("export", "--format", kind) == 0
        printed = shell.out
        assert shell("export", "--format", kind, "--out", tmp_path / f"out.{kind}") == 0
        assert shell.out == ""
        assert (tmp_path / f"out.{kind}").read_bytes().decode() == printed


def test_json_lines_tell_an_absent_genre_from_an_empty_one(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("none.mp3"), Tune("some.mp3", tags=("Other",)))
    assert shell("export", "--format", "jsonl") == 0
    rows = shell.by_name()
    assert all(tuple(row) == COLUMNS for row in rows.values())
    assert (rows["none.mp3"]["before"], rows["some.mp3"]["before"]) == (None, ["Other"])


@pytest.mark.parametrize(
    "name", [os.fsdecode(b"caf\xe9.mp3"), "椎名林檎.mp3", "a\nb.mp3", 'quo"te, comma.mp3', "=1+1.mp3"]
)
def test_any_name_comes_back_from_json_lines(name: str, library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune(name))
    assert shell("export", "--format", "jsonl") == 0
    assert [row["path"] for row in shell.objects()] == [str(song)]


def test_playlists_are_counted_and_hold_files_that_are_there(
    mixed: DecidedLibrary, shell: Shell, tmp_path: Path
) -> None:
    assert shell("export", "--format", "m3u", "--out", tmp_path / "lists") == 0
    assert sorted(" ".join(line.split()) for line in shell.out.splitlines()) == [
        f"playlist {tmp_path}/lists/Jazz.m3u8 1 track",
        f"playlist {tmp_path}/lists/Rock.m3u8 1 track",
    ]
    lines = (tmp_path / "lists" / "Rock.m3u8").read_text().splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[2].startswith("#EXTINF:61,")
    assert Path(lines[3]).is_file()


@pytest.mark.parametrize("name", ["a\nb.mp3", "a\rb.mp3"])
def test_a_name_with_a_line_break_is_one_entry_of_a_playlist(
    name: str, library: DecidedLibrary, shell: Shell, tmp_path: Path
) -> None:
    (song,) = library.add(Tune(name))
    assert shell("export", "--format", "m3u", "--out", tmp_path) == 0
    (entry,) = (tmp_path / "Rock.m3u8").read_bytes().split(b"\n")[3:-1]
    assert unquote_to_bytes(entry.removeprefix(b"file://")) == os.fsencode(song)


def test_playlists_without_a_folder_go_to_one_beside_the_user(
    mixed: DecidedLibrary, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell("export", "--format", "m3u") == 0
    assert {path.name for path in (tmp_path / "playlists").iterdir()} == {"Rock.m3u8", "Jazz.m3u8"}


def test_no_export_is_written_over_the_library_or_its_music(mixed: DecidedLibrary, shell: Shell) -> None:
    before, database = digests(mixed.folder), shell.db.read_bytes()
    for place in (shell.db, Path(f"{shell.db}-wal"), mixed.paths[0], mixed.folder):
        for kind in ("csv", "jsonl"):
            assert shell("export", "--format", kind, "--out", place) == 2
            assert "name another file" in shell.err
    assert shell("export", "--format", "m3u", "--out", mixed.paths[0]) == 1
    assert "cannot be written" in shell.err
    assert digests(mixed.folder) == before
    assert shell.db.read_bytes() == database


def test_a_wrong_format_is_named_with_the_right_ones(shell: Shell) -> None:
    assert shell("export", "--format", "xlsx") == 2
    assert "'csv', 'jsonl', 'm3u'" in shell.err


def test_a_library_of_many_pages_is_listed_whole(library: DecidedLibrary, shell: Shell) -> None:
    library.store([nowhere(f"/m/{n:04}.mp3", FailTrack("io", "")) for n in range(1203)])
    assert shell("status", "--failed", "--json") == 0
    assert [Path(row["path"]).stem for row in shell.objects()] == [f"{n:04}" for n in range(1203)]
    assert shell("export", "--format", "jsonl") == 0
    assert len({json.loads(line)["path"] for line in shell.out.splitlines()}) == 1203
    assert shell("status") == 0
    assert "1,203 tracks" in shell.out


def listed(shell: Shell, *words: str | Path) -> list[str]:
    assert shell("status", *words, "--json") == 0
    return [Path(one["path"]).name for one in shell.objects()]


def test_failed_and_unsure_together_list_both(mixed: DecidedLibrary, shell: Shell) -> None:
    assert listed(shell, "--failed", "--unsure") == ["broken.mp3", "short.mp3", "unsure.mp3"]


def test_listings_take_genres_outcomes_relations_and_paths(mixed: DecidedLibrary, shell: Shell) -> None:
    assert listed(shell, "--genre", "jazz") == ["jazz.mp3"]
    assert listed(shell, "--genre", "Jazz", "--genre", "Rock") == ["jazz.mp3", "rock.mp3"]
    assert listed(shell, "--outcome", "skipped") == ["short.mp3"]
    assert listed(shell, "--relation", "conflict") == ["rock.mp3"]
    assert listed(shell, "--relation", "fill") == ["jazz.mp3"]
    assert listed(shell, "--failed", mixed.folder / "One") == []
    assert shell("status", mixed.folder / "One", "--json") == 0
    (counts,) = shell.objects()
    assert (counts["tracks"], counts["genres"]) == (2, {"Jazz": 1, "Rock": 1})
    assert shell("status", "--relation", "conflict") == 0
    assert "Jazz, Blues -> Rock 0.90" in shell.out


@pytest.mark.parametrize("command", ["status", "export", "report"])
def test_a_genre_that_nobody_knows_is_named(command: str, mixed: DecidedLibrary, shell: Shell) -> None:
    assert shell(command, "--genre", "Nope") == 2
    assert "There is no genre 'Nope'; reclass genres list shows all." in shell.err
    assert "Nope" not in shell.out


def test_a_listing_by_genre_passes_decisions_of_another_taxonomy_by(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3", "My Own Genre"), Tune("b.mp3", "Rock"))
    assert listed(shell, "--genre", "Rock") == ["b.mp3"]


def test_an_export_and_a_report_take_the_same_choices(mixed: DecidedLibrary, shell: Shell) -> None:
    assert shell("export", "--format", "jsonl", "--outcome", "unsure", mixed.folder / "Two") == 0
    assert [Path(one["path"]).name for one in shell.objects()] == ["unsure.mp3"]
    assert shell("report", "--json", "--genre", "Rock") == 0
    (found,) = shell.objects()
    assert found["library"]["tracks"] == 1
    assert found["failures"] == []
    assert found["conflicts"]["all_tracks"] == 1
    assert shell("report", "--json", mixed.folder / "Two") == 0
    assert shell.objects()[0]["conflicts"]["all_tracks"] == 0


def test_a_genre_takes_in_those_below_it(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3", "Shoegaze"), Tune("b.mp3", "Rock"), Tune("c.mp3", "Jazz"))
    assert listed(shell, "--genre", "Rock") == ["a.mp3", "b.mp3"]
    assert listed(shell, "--genre", "Shoegaze") == ["a.mp3"]
