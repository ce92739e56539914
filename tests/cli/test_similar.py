"""`similar` and `playlist`: tracks that sound alike, as a list or a playlist of about the wanted length."""

from __future__ import annotations

from pathlib import Path

from music_reclass.cli.similar import apart
from music_reclass.domain import Track, TrackTags
from tests.library import Shell


def test_similar_tracks_are_listed_and_a_file_that_is_not_known_is_named(scanned: Path, shell: Shell) -> None:
    song = sorted(scanned.rglob("*.mp3"))[0]
    assert shell("similar", song, "--json", "--count", "4") == 0
    rows = shell.objects()
    assert 1 <= len(rows) <= 4
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    assert str(song) not in {row["path"] for row in rows}
    assert set(rows[0]) == {"path", "artist", "title", "album", "genres", "duration", "similarity", "why"}
    assert shell("similar", song) == 0
    assert rows[0]["title"] in shell.out
    assert shell("similar", scanned / "nothing.mp3") == 3


def test_a_playlist_has_paths_relative_to_it_and_about_the_length(scanned: Path, shell: Shell, tmp_path: Path) -> None:
    song = sorted(scanned.rglob("*.mp3"))[0]
    out = scanned / "alike.m3u8"
    assert shell("playlist", "--like", song, "--length", "30s", "--out", out) == 0
    lines = out.read_text().splitlines()
    assert lines[0] == "#EXTM3U"
    entries = [line for line in lines if not line.startswith("#")]
    assert entries
    assert all((scanned / entry).is_file() and not entry.startswith("/") for entry in entries)
    assert song not in [scanned / entry for entry in entries]
    assert shell("playlist", "--like", song, "--json", "--length", "30s") == 0
    lengths = [row["duration"] for row in shell.objects()]
    assert sum(lengths[:-1]) < 30
    assert shell("playlist", "--like", song, "--length", "30s", "--absolute", "--out", out) == 0
    assert all(line.startswith("/") for line in out.read_text().splitlines() if not line.startswith("#"))
    assert shell("playlist", "--like", song, "--length", "30s") == 0
    assert shell.out.startswith("#EXTM3U")


def test_a_genre_limits_it_and_something_must_be_said(scanned: Path, shell: Shell) -> None:
    song = sorted(scanned.rglob("*.mp3"))[0]
    assert shell("decide", scanned, "Jazz", "--scope", "album") == 0
    assert shell("decide", song, "Metal") == 0
    assert shell("playlist", "--genre", "Rock", "--json") == 0
    assert [row["path"] for row in shell.objects()] == [str(song)]
    assert shell("playlist", "--genre", "Jazz", "--like", song, "--json") == 0
    assert {tuple(row["genres"]) for row in shell.objects()} == {("Jazz",)}
    assert shell("playlist", "--genre", "Polka") == 3
    assert shell("playlist") == 2
    assert shell("playlist", "--genre", "Jazz", "--length", "soon") == 2


def test_two_of_an_artist_do_not_follow_each_other_where_that_can_be() -> None:
    tracks = [Track(f"/{n}", tags=TrackTags(artist=artist)) for n, artist in enumerate("aaabbc")]
    ordered = "".join(track.tags.artist for track in apart(tracks))
    assert ordered == "ababac"
