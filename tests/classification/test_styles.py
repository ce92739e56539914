"""Styles come from tags, below the decided genre alone, and are certified by the fine genres that users gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.classification import styles
from music_reclass.classification.styles import (
    ARTISTS,
    USER_TAGS,
    StyleReader,
    calibrate_styles,
    strengths_of,
    style_of,
    styles_below,
)
from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags
from music_reclass.extractors.efficientat import audioset_labels
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import LibraryCalibrations
from music_reclass.taxonomy import load

TAXONOMY = load()
KIND = FeatureKind("efficientat-tags", "1-12345678", 527, "mid30")


def heard(**tags: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """AudioSet's strengths: those named, `_` for a space, and nothing else."""
    row = np.full(527, 0.001, np.float32)
    for name, strength in tags.items():
        row[audioset_labels().index(name.replace("_", " "))] = strength
    return row


@dataclass(frozen=True)
class Tune:
    artist: str
    tags: tuple[str, ...]
    strengths: dict[str, float]
    decided: str = "Rock"
    album: str = ""


def library_of(folder: Path, tunes: Sequence[Tune]) -> Database:
    """Tracks with tags of the user, AudioSet's strengths and a decision."""
    database = Database(folder / "library.sqlite3")
    tracks = [
        Track(
            f"/m/{number}.flac", 1, 1, bytes([number % 256, number // 256]) * 8, 100.0,
            TrackTags(tune.tags, f"title {number}", tune.artist, album=tune.album), (), heard(**tune.strengths),
        )
        for number, tune in enumerate(tunes)
    ]  # fmt: skip
    ids = Library(database).save(tracks, KIND)
    decisions = {
        track: Decision(Outcome.LIKELY, "likely", (tune.decided,), 0.7, "fma518")
        for track, tune in zip(ids, tunes, strict=True)
    }
    Decisions(database).save_without_votes(decisions, "basis")
    return database


@pytest.fixture(autouse=True)
def _one_tagger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(styles, "tag_kinds", lambda: (KIND,))


def punks(count: int, strength: float = 0.5) -> list[Tune]:
    return [Tune(f"punk {number}", ("Punk",), {"Punk_rock": strength}) for number in range(count)]


def metalheads(count: int, punk: float) -> list[Tune]:
    """Bands tagged Metal in whose music the tagger finds this much punk."""
    return [Tune(f"metal {number}", ("Metal",), {"Punk_rock": punk}) for number in range(count)]


def calibrated(folder: Path, tunes: Sequence[Tune]) -> dict[str, Any]:
    """What was found out about the tag Punk rock."""
    found = calibrate_styles(library_of(folder, tunes), TAXONOMY)["tags"]
    return dict(found[f"{KIND.key} Punk rock"])


@pytest.mark.parametrize(
    ("tag", "genre"),
    [
        ("Heavy metal", "Metal"), ("Punk rock", "Punk"), ("House music", "House"), ("Techno", "Techno"),
        ("Drum and bass", "Drum & Bass"), ("Bluegrass", "Bluegrass"), ("Ska", "Ska"), ("Opera", "Opera"),
        ("Gospel music", "Gospel"), ("Salsa music", "Salsa"), ("Flamenco", "Flamenco"), ("Afrobeat", "Afrobeat"),
        ("genre---trance", "Trance"), ("genre---metal", "Metal"), ("Rock---Grunge", "Grunge"),
        ("Jazz---Bop", "Bebop"), ("Guitar", None), ("instrument---piano", None), ("mood/theme---film", None),
        ("Speech", None), ("no tag at all", None),
    ],
)  # fmt: skip
def test_a_tag_that_is_a_genre_names_its_style(tag: str, genre: str | None) -> None:
    assert style_of(tag, TAXONOMY) == genre


def test_only_styles_below_the_genre_count_and_faint_ones_do_not() -> None:
    row = strengths_of(KIND, heard(Punk_rock=0.3, Heavy_metal=0.4, House_music=0.9, Grunge=0.04))
    found = styles_below("Rock", {KIND: row}, TAXONOMY, None)
    assert [(style.genre, round(style.strength, 2)) for style in found] == [("Metal", 0.4), ("Punk", 0.3)]
    assert not any(style.certified for style in found)
    assert {style.why for style in found} == {"not calibrated on this library"}
    assert [style.genre for style in styles_below("Electronic", {KIND: row}, TAXONOMY, None)] == ["House"]
    assert styles_below("Metal", {KIND: row}, TAXONOMY, None) == ()


def test_the_users_fine_genres_certify_the_lowest_strength_that_is_right_often_enough(tmp_path: Path) -> None:
    found = calibrated(tmp_path, [*punks(40), *metalheads(15, punk=0.17), *metalheads(60, punk=0.02)])
    assert found["threshold"] == 0.2
    assert (found["right"], found["count"], found["artists"]) == (40, 40, 40)
    assert 0.8 <= found["precision"] < 1.0


def test_with_too_few_artists_nothing_is_certified_however_right_the_tag_is(tmp_path: Path) -> None:
    found = calibrated(tmp_path, punks(ARTISTS - 1))
    assert found["threshold"] is None
    assert found["why"] == "not calibrated: 19 artists of the library carry it, and 20 are the least"


def test_a_tag_that_is_wrong_too_often_is_certified_nowhere(tmp_path: Path) -> None:
    found = calibrated(tmp_path, [*punks(40), *metalheads(30, punk=0.5)])
    assert found["threshold"] is None
    assert found["why"].startswith("not certified: too often wrong")


def test_an_artist_counts_once(tmp_path: Path) -> None:
    one = [replace(tune, artist="the same band") for tune in punks(100)]
    assert calibrated(tmp_path, one)["artists"] == 1
    assert calibrated(tmp_path / "again", [*punks(40), *one])["artists"] == 41


def test_wide_tags_say_nothing_and_finer_ones_are_right(tmp_path: Path) -> None:
    wide = [Tune(f"wide {number}", ("Rock",), {"Punk_rock": 0.9}) for number in range(50)]
    finer = [Tune(f"finer {number}", ("Ska Punk",), {"Punk_rock": 0.5}) for number in range(30)]
    assert calibrated(tmp_path, [*wide, *finer])["count"] == 30


def test_tracks_that_were_decided_elsewhere_or_not_at_all_do_not_count(tmp_path: Path) -> None:
    elsewhere = [replace(tune, decided="Jazz") for tune in punks(50)]
    assert calibrate_styles(library_of(tmp_path, elsewhere), TAXONOMY)["tags"] == {}


def test_what_was_certified_is_written_for_tracks_that_reach_it_and_for_no_others(tmp_path: Path) -> None:
    strong, weak = Tune("new", ("Rock",), {"Punk_rock": 0.6}), Tune("newer", ("Rock",), {"Punk_rock": 0.1})
    database = library_of(tmp_path, [*punks(40), *metalheads(15, punk=0.17), strong, weak])
    tracks = {track.tags.artist: track for track in Library(database).tagged_by_user(KIND)}
    assert StyleReader(database, TAXONOMY).finer(tracks["new"], "Rock") is None, "nothing is calibrated yet"
    found = calibrate_styles(database, TAXONOMY)
    LibraryCalibrations(database).save({LibraryCalibrations.STYLES: found})
    reader = StyleReader(database, TAXONOMY)
    assert reader.finer(tracks["new"], "Rock") == "Punk"
    assert reader.finer(tracks["new"], "Pop") is None
    assert reader.finer(tracks["newer"], "Rock") is None
    (style,) = reader.of(tracks["newer"], "Rock")
    assert style.why == "weaker than the 0.20 from which it is certified"
    (style,) = reader.of(tracks["new"], "Rock")
    assert (style.certified, style.artists) == (True, 40)


def test_what_was_certified_for_other_weights_is_not_used(tmp_path: Path) -> None:
    found = calibrate_styles(library_of(tmp_path, punks(40)), TAXONOMY)
    row = strengths_of(KIND, heard(Punk_rock=0.6))
    assert styles_below("Rock", {KIND: row}, TAXONOMY, found)[0].certified
    other = replace(KIND, version="1-87654321")
    assert not styles_below("Rock", {other: row}, TAXONOMY, found)[0].certified


def albums(artist: str, *tags: str) -> list[Tune]:
    """One track of each of an artist's albums, with the genre that the user gave it."""
    return [Tune(artist, (tag,), {}, album=f"album {number}") for number, tag in enumerate(tags)]


def test_the_users_tags_on_an_artists_other_albums_name_styles_too(tmp_path: Path) -> None:
    bands = [tune for number in range(40) for tune in albums(f"band {number}", "Punk", "Ska Punk", "Punk")]
    untagged = replace(albums("newcomers", "Punk", "Punk", "")[2], tags=())
    database = library_of(tmp_path, [*bands, *albums("newcomers", "Punk", "Punk"), replace(untagged, album="third")])
    found = calibrate_styles(database, TAXONOMY)
    assert found["tags"][f"{USER_TAGS.key} Punk"]["threshold"] == 0.05
    assert found["tags"][f"{USER_TAGS.key} Ska Punk"]["threshold"] is None, "Punk is too wide to tell"
    LibraryCalibrations(database).save({LibraryCalibrations.STYLES: found})
    (new,) = [track for track in Library(database).tracks_with(KIND) if track.tags.album == "third"]
    assert StyleReader(database, TAXONOMY).finer(new, "Rock") == "Punk"


def test_a_tracks_own_album_says_nothing_about_its_style(tmp_path: Path) -> None:
    alone = [Tune(f"band {number}", ("Punk",), {}, album="the only one") for number in range(40)]
    found = calibrate_styles(library_of(tmp_path, [*alone, *alone]), TAXONOMY)
    assert f"{USER_TAGS.key} Punk" not in found["tags"]
