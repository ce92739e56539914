"""The demo's library is the same everywhere, plays, and holds the tags it promises."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.extractors.audio.synthesis import ALBUMS, RATE, SECONDS, STYLES, make_library


def test_the_library_has_eight_formats_and_the_same_bytes_at_every_call(demo_library: Path, tmp_path: Path) -> None:
    second = make_library(tmp_path)
    first = [demo_library / path.relative_to(tmp_path) for path in second]
    assert {path.suffix for path in first} == {".mp3", ".flac", ".ogg", ".opus", ".m4a", ".wav", ".aiff", ".wma"}
    assert len(first) == sum(len(tracks) for *_, tracks in ALBUMS)
    for one, other in zip(first, second, strict=True):
        # Ogg gives every stream a random serial number.
        if one.suffix not in {".ogg", ".opus"}:
            assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.parametrize("style", sorted(STYLES))
def test_each_style_is_loud_enough_finite_and_stereo(style: str) -> None:
    sound = STYLES[style](1)
    assert sound.shape == (int(SECONDS * RATE), 2)
    assert np.isfinite(sound).all()
    assert 0.5 < np.abs(sound).max() <= 1.0
    assert not np.array_equal(sound[:, 0], sound[:, 1])
