"""Wrong data cannot be made."""

import pytest

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote, tags_group
from music_reclass.errors import FailTrack, SkipTrack


def test_a_vote_is_a_probability_distribution() -> None:
    with pytest.raises(ValueError, match="sum to one"):
        Vote("s", {"Rock": 0.5, "Pop": 0.4})
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        Vote("s", {"Rock": 1.5, "Pop": -0.5})
    with pytest.raises(ValueError, match="at least one"):
        Vote("s", {})


def test_a_vote_names_its_likeliest_genre() -> None:
    vote = Vote("s", {"Rock": 0.2, "Jazz": 0.5, "Pop": 0.3})
    assert (vote.genre, vote.confidence) == ("Jazz", 0.5)
    assert vote.top(2) == [("Jazz", 0.5), ("Pop", 0.3)]


def test_a_decision_that_is_sure_names_a_genre() -> None:
    with pytest.raises(ValueError, match="names a genre"):
        Decision(Outcome.CONFIDENT, "why")
    with pytest.raises(ValueError, match="confidence"):
        Decision(Outcome.UNSURE, "why", confidence=1.2)


def test_kinds_that_differ_in_anything_have_different_keys() -> None:
    keys = {
        FeatureKind(name, version, 518, excerpt).key
        for name in ("fma518", "mert")
        for version in ("1", "2")
        for excerpt in ("mid30", "full")
    }
    assert len(keys) == 8
    with pytest.raises(ValueError, match="positive"):
        FeatureKind("x", "1", 0, "full")


def test_the_outcome_of_a_track_is_that_of_its_failure_or_else_of_its_decision() -> None:
    decided = Decision(Outcome.LIKELY, "why", ("Jazz",))
    assert Track("/a").outcome is None
    assert Track("/a", decision=decided).outcome is Outcome.LIKELY
    assert Track("/a", decision=decided, error=SkipTrack("silence")).outcome is Outcome.SKIPPED
    assert Track("/a", error=FailTrack("decode")).outcome is Outcome.FAILED


def test_tracks_are_grouped_by_their_artist_or_else_their_album() -> None:
    assert tags_group(TrackTags(artist=" Ida ", album="Blue")) == "artist ida"
    assert tags_group(TrackTags(album_artist="Ida", album="Blue")) == "artist ida"
    assert tags_group(TrackTags(album_artist="Various", album="Blue", compilation=True)) == "album blue"
    assert tags_group(TrackTags()) == ""
    assert Track("/m/a.mp3", tags=TrackTags(artist="Ida")).group == "artist ida"
    assert Track("/m/a.mp3").group == "folder /m"
