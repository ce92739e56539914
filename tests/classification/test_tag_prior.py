"""What tags nearby say about a track: never its own tag, never what reclass wrote, an album once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification.tag_prior import STAGE, TagIndex, TagPrior, TagVotes
from music_reclass.classification.voter import Cascade
from music_reclass.domain import Outcome, Track, TrackTags
from music_reclass.errors import BundleError
from music_reclass.taxonomy import load
from tests.classification.fakes import CHEAP, stage
from tests.classification.small_library import SmallLibrary, Tune, sure

TREE = load()
LABELS = ("Jazz", "Pop", "Rock")
EVEN = np.full(3, 1 / 3)
PRIOR = TagPrior(LABELS, (1 / 3, 1 / 3, 1 / 3), 0.5, 1.0)


def track(number: int, genre: str | None, album: str = "One", artist: str = "Ida", folder: str = "") -> Track:
    tags = TrackTags(None if genre is None else (genre,), f"Title {number}", artist, "", album)
    return Track(f"/m/{artist}/{folder or album}/{number}.flac", tags=tags, id=number)


def odds(tracks: list[Track], asked: Track) -> tuple[np.ndarray, np.ndarray]:
    return TagIndex(tracks, LABELS, TREE).log_odds(asked, EVEN)


def test_tags_of_other_albums_and_of_the_rest_of_the_album_count_apart_and_the_own_tag_never() -> None:
    tracks = [track(1, "Rock"), track(2, "Rock"), track(3, "Jazz", "Two"), track(4, "Jazz", "Two")]
    artist, album = odds(tracks, tracks[0])
    assert artist.argmax() == LABELS.index("Jazz")
    assert album.argmax() == LABELS.index("Rock")
    alone = track(1, "Rock")
    assert not odds([alone], alone)[0].any()
    assert not odds([alone], alone)[1].any()
    untagged = track(9, None)
    assert odds(tracks, untagged)[1].argmax() == LABELS.index("Rock")


def test_an_album_counts_once_however_many_tracks_it_has() -> None:
    asked = track(99, None, "Own")
    few, many = ([track(n, "Rock", "Other") for n in range(count)] for count in (2, 20))
    assert np.allclose(odds(few, asked)[0], odds(many, asked)[0])
    two = [*few, *(track(50 + n, "Rock", "Third") for n in range(2))]
    assert odds(two, asked)[0].max() > odds(few, asked)[0].max()


def test_tracks_of_one_album_count_for_as_many_as_are_independent() -> None:
    asked = track(99, None)
    one, ten = (odds([track(n, "Rock") for n in range(count)], asked)[1].max() for count in (1, 10))
    assert one < ten < 1.2 * one


def test_the_same_album_in_another_folder_is_no_other_album() -> None:
    copy = track(2, "Rock", folder="copies")
    assert not odds([copy], track(1, None))[0].any()
    assert odds([track(2, "Rock", "")], track(3, None, ""))[0].any()  # two tracks without an album are two albums


def test_finer_tags_count_as_the_label_above_and_others_not_at_all() -> None:
    asked = track(9, None, "Own")
    assert odds([track(1, "Shoegaze", "Two")], asked)[0].argmax() == LABELS.index("Rock")
    assert not odds([track(1, "Blues", "Two"), track(2, "Other", "Two")], asked)[0].any()
    various = track(1, "Rock", "Two", artist="Various Artists")
    assert not odds([various], track(9, None, "Own", artist="Various Artists"))[0].any()


def test_weights_of_zero_and_no_tags_nearby_say_nothing() -> None:
    told = odds([track(1, "Rock", "Two")], track(9, None))
    assert dataclasses.replace(PRIOR, artist=0.0).vote(told) is None
    vote = PRIOR.vote(told)
    assert vote is not None
    assert vote.stage == STAGE
    assert vote.genre == "Rock"
    assert PRIOR.vote((np.zeros(3), np.zeros(3))) is None


@pytest.mark.parametrize("wrong", [{"artist": -1.0}, {"album": float("nan")}, {"frequency": (0.0, 0.5, 0.5)}])
def test_a_prior_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    assert TagPrior.from_json(PRIOR.as_json()) == PRIOR
    with pytest.raises(BundleError, match="reclass learn"):
        TagPrior.from_json(PRIOR.as_json() | wrong)


def test_a_cascade_with_a_prior_decides_by_tags_nearby_and_album_tracks_are_told_once(tmp_path: Path) -> None:
    uncertain = (0.36, 0.28, 0.36)
    tunes = [
        *(Tune(f"/m/Ida/One/{n}", uncertain, None, ("Rock",) if n < 3 else None, "Ida", "One") for n in range(5)),
        *(Tune(f"/m/Ida/Two/{n}", uncertain, None, ("Rock",), "Ida", "Two") for n in range(3)),
        Tune("/m/Ulf/1", sure("Jazz"), None, None, "Ulf", "Three"),
    ]
    small = SmallLibrary(tmp_path, tunes)
    plain = Cascade((stage("cheap", CHEAP),), TREE)
    told = dataclasses.replace(plain, tags=TagVotes(PRIOR, small.database, TREE))
    assert told.basis != plain.basis
    tracks = {track.id: track for track in small.library.tracks(small.ids)}
    before, after = plain.decide(tracks, small.library), told.decide(tracks, small.library)
    untagged, other = small.ids[4], small.ids[8]
    assert before[untagged].outcome is Outcome.UNSURE
    assert after[untagged].genres == ("Rock",)
    assert after[untagged].outcome is Outcome.LIKELY  # what was certified says nothing about tags
    assert after[untagged].reason == "tags"
    assert [vote.stage for vote in after[untagged].votes] == ["cheap", "tags", "album"]
    tags, album = after[untagged].votes[1:]
    expected = album.probabilities["Rock"] * tags.probabilities["Rock"]
    total = sum(album.probabilities[name] * tags.probabilities[name] for name in LABELS)
    assert after[untagged].confidence == pytest.approx(expected / total)
    assert after[other] == before[other]  # nobody has tagged Ulf


def test_what_reclass_wrote_says_nothing(tmp_path: Path) -> None:
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Intention, Journal

    tunes = [Tune(f"/m/Ida/One/{n}", (0.4, 0.2, 0.4), None, ("Rock",), "Ida", "One") for n in range(4)]
    small = SmallLibrary(tmp_path, tunes)
    votes = TagVotes(PRIOR, small.database, TREE)
    assert set(votes.votes(small.ids)) == set(small.ids)
    journal = Journal(Database(small.database.path, durable=True))
    run = journal.begin_run("scan", {})
    for tune, found in zip(tunes, list(small.library.tracks(small.ids)), strict=True):
        assert found.digest is not None
        change = journal.plan(run, Intention(tune.path, "flac", (), ("Rock",), (), "", found.digest, b"", 1))
        journal.confirm(change, 1)
    assert TagVotes(PRIOR, small.database, TREE).votes(small.ids) == {}


def test_a_few_tracks_are_told_the_same_as_many(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    tunes = [
        Tune(
            f"/m/{n // 8}/{n % 8 // 4}/{n}", (0.4, 0.2, 0.4), None, (str(generator.choice(LABELS)),) if n % 3 else None,
            ("Ida", "IDA", "Ulf", "")[n // 8 % 4], f"Album {n // 4 % 5}",
        )
        for n in range(120)
    ]  # fmt: skip
    small = SmallLibrary(tmp_path, tunes)
    many = TagVotes(PRIOR, small.database, TREE).votes(small.ids)
    assert len(many) > 60
    for ids in (small.ids[:8], small.ids[8:20], small.ids[24:30]):
        few = TagVotes(PRIOR, small.database, TREE).votes(ids)
        assert few == {track: vote for track, vote in many.items() if track in ids}
