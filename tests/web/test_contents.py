"""What pages show of an album and of the library."""

from __future__ import annotations

import pytest

from music_reclass.web.contents import overview, under_review
from music_reclass.web.work import Work


def test_an_album_under_review_has_its_likeliest_genres_and_no_other_sounds(work: Work) -> None:
    queue = work.current.get().review()
    found = under_review(work, queue[0])
    assert found is not None
    assert found["ids"] == work.current.get().on_album(queue[0])
    shares = [share for _, share in found["choices"]]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) <= 9
    assert not {"noise", "speech", "animal", "music"} & {genre for genre, _ in found["choices"]}
    assert sum(shares) <= 1.01


def test_an_album_that_is_not_there_is_none(work: Work) -> None:
    assert under_review(work, 10**9) is None


def test_genres_beyond_the_first_are_counted_together(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("music_reclass.web.contents.GENRES_SHOWN", 1)
    found = overview(work)
    assert sum(found["before"].values()) == found["tracks"]
    assert len(found["before"]) <= 2
