"""Tracks of one album by one artist agree; compilations and strangers do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.classification.albums import (
    album_folder,
    album_of,
    consensus,
    effective_tracks,
    group_by_album,
    is_compilation,
)
from music_reclass.domain import TrackTags, Vote
from tests.classification.fakes import Track, vote


def track(path: str = "/m/a/1.mp3", **tags: str | bool) -> Track:
    return Track(path, TrackTags(**{"artist": "Someone", "album": "First", **tags}))  # type: ignore[arg-type]


def album(path: str = "/m/a/1.mp3", **tags: str | bool) -> tuple[str, str, str] | None:
    found = track(path, **tags)
    return album_of(found.path, found.tags)


def test_tracks_of_one_album_in_one_folder_belong_together() -> None:
    tracks = {3: track("/m/a/3.mp3"), 1: track("/m/a/1.mp3"), 2: track("/m/a/2.mp3", artist="SOMEONE")}
    assert group_by_album(tracks) == [[1, 2, 3]]


def test_two_tracks_are_no_album() -> None:
    assert group_by_album({1: track(), 2: track()}) == []


def test_two_albums_of_one_name_in_two_folders_stay_apart() -> None:
    assert album("/m/a/1.mp3", album="Greatest Hits") != album("/m/b/1.mp3", album="Greatest Hits")


@pytest.mark.parametrize("folder", ["CD1", "cd 2", "Disc 1", "Disk_02", "DVD1", "LP 2", "Side A"])
def test_the_discs_of_an_album_belong_together(folder: str) -> None:
    assert album(f"/m/a/{folder}/1.mp3") == album("/m/a/1.mp3")


def test_the_album_artist_stands_for_guests() -> None:
    guest = album(artist="Someone feat. Guest", album_artist="Someone")
    assert guest == album(artist="Someone", album_artist="Someone")


@pytest.mark.parametrize(
    "tags",
    [
        {"compilation": True},
        {"album_artist": "Various Artists"},
        {"album_artist": "V.A."},
        {"artist": "various"},
        {"artist": ""},
        {"artist": "Unknown Artist"},
        {"artist": "<unknown>"},
        {"album": ""},
        {"album": "Unknown Album"},
        {"album": "[non-album tracks]"},
    ],
)
def test_compilations_and_unknown_albums_do_not_vote_together(tags: dict[str, str | bool]) -> None:
    assert album(**tags) is None


def test_agreeing_tracks_are_surer_together_but_not_as_sure_as_strangers_would_be() -> None:
    together = consensus([vote(0.1, 0.3, 0.6)] * 8)
    assert together is not None
    strangers = 0.6**8 / (0.1**8 + 0.3**8 + 0.6**8)
    assert 0.6 < together.confidence < 0.75 < strangers
    assert (together.stage, together.genre) == ("album", "Rock")


def test_the_majority_of_an_album_outweighs_one_track() -> None:
    together = consensus([vote(0.6, 0.2, 0.2), vote(0.2, 0.2, 0.6), vote(0.2, 0.2, 0.6)])
    assert together is not None
    assert together.genre == "Rock"


def test_a_zero_does_not_rule_a_genre_out() -> None:
    together = consensus([vote(0.0, 0.0, 1.0), *[vote(0.98, 0.01, 0.01)] * 9])
    assert together is not None
    assert together.genre == "Jazz"


def test_too_few_votes_or_other_genres_give_no_consensus() -> None:
    assert consensus([vote(0.1, 0.1, 0.8)] * 2) is None
    assert consensus([vote(0.1, 0.1, 0.8), vote(0.1, 0.1, 0.8), Vote("cheap", {"Folk": 1.0})]) is None


@given(st.lists(st.tuples(*[st.floats(0.0, 1.0)] * 3).filter(lambda row: sum(row) > 0.01), min_size=3, max_size=12))
def test_a_consensus_does_not_depend_on_the_order_of_the_tracks(rows: list[tuple[float, float, float]]) -> None:
    votes = [vote(*(share / sum(row) for share in row)) for row in rows]
    one, other = consensus(votes), consensus(votes[::-1])
    assert one is not None
    assert one == other


def test_many_tracks_are_worth_little_more_than_one() -> None:
    assert effective_tracks(1) == 1.0
    assert 1.0 < effective_tracks(3) < effective_tracks(10) < effective_tracks(1000) < 4 / 3


@pytest.mark.parametrize(
    "name",
    [
        "Various Artists", "various artists", "Various Artist", "VA", "V.A.", "SOUNDTRACK/CAST ALBUM",
        "Varios Artistas", "Vários Artistas", "Artistes Variés", "Verschiedene Künstler", "Artisti vari", "AA.VV.",
        "Diverse artiesten", "Blandade Artister", "Różni wykonawcy", "Různí interpreti", "Разные исполнители",
        "群星", "ヴァリアス・アーティスト", "여러 아티스트",
    ],
)  # fmt: skip
def test_various_artists_are_known_in_many_languages(name: str) -> None:
    assert is_compilation(name, [])
    assert album_of("/music/1.mp3", TrackTags(album="Hits", album_artist=name)) is None


@pytest.mark.parametrize(
    ("album_artist", "artists", "is_one"),
    [
        ("Ada", ["Ada"] * 5, False),
        ("Ada", ["Ada feat. Bob", "Ada & Cid", "Ada with Dan"], False),
        ("Ada", ["Ada", "Ada", "Ada", "Bob", "Cid", "Dan"], False),
        ("Ada", ["Ada", "Bob", "Cid", "Dan"], True),
        ("Ada and Bob", ["Ada", "Bob", "Ada"], False),
        ("Ada", ["Bob"] * 9, False),
        ("", ["Bob", "Cid", "Dan"], True),
        ("Various Production", ["Various Production"] * 3, False),
    ],
)
def test_an_album_whose_tracks_mostly_have_other_artists_is_a_compilation(
    album_artist: str, artists: list[str], is_one: bool
) -> None:
    assert is_compilation(album_artist, artists) is is_one


@pytest.mark.parametrize("disc", ["CD1", "cd 2", "Disc_3", "DISK-04", "Side A", "Vinyl 2"])
def test_a_disc_lies_in_the_folder_of_its_album(disc: str) -> None:
    assert album_folder(f"/m/Blue/{disc}") == "/m/Blue"
    assert album_folder("/m/Blue") == "/m/Blue"
