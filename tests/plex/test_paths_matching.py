"""Which file is which track."""

import unicodedata

from music_reclass.domain import Decision, Outcome, Track, TrackTags
from music_reclass.plex.model import Listed
from music_reclass.plex.paths import AMBIGUOUS, OTHER_LENGTH, UNMAPPED, UNSCANNED, LocalIndex, PathMap, match

MAP = PathMap((("/data", "/here"),))


def file(path: str, genre: str | None = "Rock", *, seconds: float = 180.0) -> Track:
    decision = Decision(Outcome.CONFIDENT, "sure", (genre,), 0.9, "s") if genre else None
    return Track(path, duration=seconds, tags=TrackTags(None, "Tune", "Ada", album="Blue"), decision=decision)


def track(*files: str, artist: str = "Ada", seconds: float | None = 181.5) -> Listed:
    return Listed(1, "Tune", artist, "Blue", "Ada", 2, 3, seconds, files)


def test_a_track_is_found_by_its_mapped_path() -> None:
    assert match(track("/data/a/1.mp3"), LocalIndex([file("/here/a/1.mp3")]), MAP).track == file("/here/a/1.mp3")


def test_the_reason_separates_unmapped_from_unscanned() -> None:
    index = LocalIndex([file("/here/a/1.mp3")])
    assert match(track("/other/1.mp3"), index, MAP).reason == UNMAPPED
    assert match(track("/data/a/2.mp3"), index, MAP).reason == UNSCANNED
    assert match(track(), index, MAP).reason == UNMAPPED


def test_unicode_form_does_not_matter_and_case_only_where_it_is_unique() -> None:
    composed = "/here/Bj\u00f6rk/1.mp3"
    index = LocalIndex([file(composed), file("/here/A/x.mp3"), file("/here/a/x.mp3")])
    assert match(track(unicodedata.normalize("NFD", "/data/Bj\u00f6rk/1.mp3")), index, MAP).track == file(composed)
    assert match(track("/data/bj\u00f6rk/1.MP3"), index, MAP).track == file(composed)
    assert match(track("/data/a/X.mp3"), index, MAP).reason == UNSCANNED


def test_parts_that_are_several_files_must_agree() -> None:
    index = LocalIndex(
        [file("/here/1.mp3"), file("/here/1.flac"), file("/here/2.mp3", "Jazz"), file("/here/3.mp3", None)]
    )
    assert match(track("/data/1.mp3", "/data/1.flac"), index, MAP).track is not None
    assert match(track("/data/1.mp3", "/data/2.mp3"), index, MAP).reason == AMBIGUOUS
    assert match(track("/data/3.mp3", "/data/2.mp3"), index, MAP).track == file("/here/2.mp3", "Jazz")


def test_the_same_path_with_other_music_is_no_match() -> None:
    index = LocalIndex([file("/here/CD 1/01.mp3", seconds=240.0)])
    assert match(track("/data/CD 1/01.mp3", seconds=180.0), index, MAP).reason == OTHER_LENGTH
    assert match(track("/data/CD 1/01.mp3", seconds=None), index, MAP).track is not None


def test_tags_match_only_if_asked_if_unique_and_if_as_long() -> None:
    index = LocalIndex([file("/elsewhere/1.mp3")])
    assert match(track("/x/1.mp3"), index, MAP).track is None
    assert match(track("/x/1.mp3"), index, MAP, by_tags=True).track == file("/elsewhere/1.mp3")
    assert match(track("/x/1.mp3", seconds=184.0), index, MAP, by_tags=True).track is None
    assert match(track("/x/1.mp3", seconds=None), index, MAP, by_tags=True).track is None
    twice = LocalIndex([file("/elsewhere/1.mp3"), file("/elsewhere/2.mp3")])
    assert match(track("/x/1.mp3"), twice, MAP, by_tags=True).track is None
    assert len(twice) == 2
