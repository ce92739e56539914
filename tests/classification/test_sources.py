"""Dear vectors are listened to once, stored as they come, and never asked for when somebody wants to stop."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.classification.sources import ListeningSource
from music_reclass.domain import FeatureKind, TrackTags
from music_reclass.extractors.registry import extractor
from music_reclass.extractors.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.features.store import Library, Reading
from music_reclass.utils.progress import Silent

CHEAP = FeatureKind("cheap", "1", 2, "mid30")
DEAR = extractor("fma518", "mid30").kind  # any kind that can really be extracted


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(Database(tmp_path / "library.sqlite3"))


@pytest.fixture
def tracks(library: Library, tmp_path: Path) -> list[int]:
    """Two tunes and one that cannot be decoded any more."""
    readings = []
    for number in range(3):
        path = tmp_path / f"{number}.wav"
        encode(path, song(seed=number, seconds=6))
        status = os.stat(path)
        digest = bytes([number])
        vector = np.ones(2, np.float32)
        readings.append(Reading(str(path), status.st_size, status.st_mtime_ns, digest, 6.0, TrackTags(), (), vector))
    (tmp_path / "2.wav").write_text("no sound any more")
    return library.save(readings, CHEAP)


def source(library: Library, stop: bool = False) -> ListeningSource:
    def no_bar(title: str, total: int | None) -> Any:
        return nullcontext(Silent())

    return ListeningSource(library, CHEAP, 1, 60.0, lambda: stop, no_bar)


def test_what_is_missing_is_listened_to_once_and_stored(library: Library, tracks: list[int]) -> None:
    first = source(library)
    found = first.vectors(tracks, DEAR)
    assert set(found) == set(tracks[:2])
    assert first.asked == {"fma518": 2}
    assert set(library.vectors(tracks, DEAR)) == set(tracks[:2])
    again = source(library)
    assert again.vectors(tracks[:2], DEAR).keys() == found.keys()
    assert again.asked == {}


def test_the_cheap_kind_is_never_listened_to_here(library: Library, tracks: list[int]) -> None:
    own = source(library)
    assert set(own.vectors([*tracks, 999], CHEAP)) == set(tracks)
    assert own.asked == {}


def test_whoever_wants_to_stop_gets_what_is_stored(library: Library, tracks: list[int]) -> None:
    assert source(library, stop=True).vectors(tracks, DEAR) == {}
