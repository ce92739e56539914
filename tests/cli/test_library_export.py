"""Exports that other programs can read, with any name in them."""

import csv
import json
import os
from pathlib import Path

import pytest

from music_reclass.cli import library as exporting
from music_reclass.domain import Decision, Outcome, Track, TrackTags, Vote
from music_reclass.errors import ReclassError, SkipTrack

ODD = os.fsdecode(b'/music/a,"b"\n\xff.mp3')


def state(path: str, genre: str | None = "Jazz") -> Track:
    tags = TrackTags(genres=("Rock", "Pop"), artist="Ida\nQuill", title="x")
    decision = Decision(Outcome.LIKELY, "likely", (genre,), 0.7, "s", (Vote("s", {genre: 1.0}),)) if genre else None
    return Track(path, 1, 1, None, 61.4, tags, (), None, None if genre else SkipTrack("silence"), decision, id=1)


def test_csv_keeps_odd_names_in_one_row(tmp_path: Path) -> None:
    exporting.table([state(ODD), state("/b", None)], "csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["genres"] for row in rows] == ["Jazz", ""]
    assert rows[0]["path"] == '/music/a,"b"\n\\udcff.mp3'
    assert (rows[0]["before"], rows[1]["reason"]) == ("Rock; Pop", "silence")


def test_json_lines_give_the_very_name_back(tmp_path: Path) -> None:
    exporting.table([state(ODD)], "jsonl", tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["path"] == ODD


def test_playlists_hold_decided_tracks_by_genre_with_their_bytes(tmp_path: Path) -> None:
    counts = exporting.playlists([state("/a"), state("/b", "Rock"), state("/c"), state("/d", None)], tmp_path / "lists")
    assert counts == {"Jazz.m3u8": 2, "Rock.m3u8": 1}
    assert (tmp_path / "lists" / "Jazz.m3u8").read_bytes().splitlines()[:4] == [
        b"#EXTM3U", b"#made by reclass", b"#EXTINF:61,Ida Quill - x", b"/a",
    ]  # fmt: skip


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReclassError, match="cannot be written"):
        exporting.table([state("/a")], "csv", tmp_path / "file" / "x.csv")
    with pytest.raises(ReclassError, match="cannot be written"):
        exporting.playlists([state("/a")], tmp_path / "file")


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"])
def test_no_cell_of_csv_is_a_formula(text: str, tmp_path: Path) -> None:
    decision = Decision(Outcome.LIKELY, "likely", ("Jazz",), 0.7, "s")
    track = Track("/a", 1, 1, None, 61.4, TrackTags((text,), text, text, text, text), (), None, None, decision, id=1)
    exporting.table([track], "csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert {row[name] for name in ("before", "artist", "album", "title")} == {f"'{text}"}
    assert (row["path"], row["confidence"], row["duration"]) == ("/a", "0.7", "61.4")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028"])
def test_no_name_and_no_tag_makes_a_line_of_its_own_in_a_playlist(end: str, tmp_path: Path) -> None:
    decision = Decision(Outcome.LIKELY, "likely", ("../Jazz",), 0.7, "s")
    tags = TrackTags((), f"x{end}/etc/passwd", f"Ida{end}#EXTM3U")
    track = Track(f"/a{end}/b.mp3", 1, 1, None, 61.4, tags, (), None, None, decision, id=1)
    assert exporting.playlists([track], tmp_path / "lists") == {"-Jazz.m3u8": 1}
    lines = (tmp_path / "lists" / "-Jazz.m3u8").read_text("utf-8").splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("#EXTINF:61,Ida ")
    assert lines[3].startswith("file:///a%")
