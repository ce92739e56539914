"""What every extractor must keep: one suite, given to each feature kind that the registry knows."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.domain import Extractor
from music_reclass.extractors.audio.load import load
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.extractors.registry import WINDOWS


@lru_cache(maxsize=32)
def _music(seconds: float, rate: int) -> NDArray[np.float32]:
    mono: NDArray[np.float32] = song(seed=7, seconds=seconds, rate=rate).mean(axis=1)
    return mono.astype(np.float32)


def clip(extractor: Extractor, seconds: float) -> NDArray[np.float32]:
    """Music at the rate that the extractor asks for, mono float32."""
    return _music(seconds, extractor.rate).copy()


@lru_cache(maxsize=8)
def stereo_file(folder: Path, seconds: float) -> Path:
    """A file of at least so many seconds, made once."""
    path = folder / f"contract-{seconds:g}.flac"
    encode(path, np.tile(song(seed=7, seconds=6.0), (1 + int(seconds / 6), 1)))
    return path


class ExtractorContract:
    """Subclass it with a fixture `extractor`."""

    def test_a_vector_is_float32_of_the_dimension_its_kind_names(self, extractor: Extractor) -> None:
        vector = extractor.vector(clip(extractor, 6.0))
        assert vector.dtype == np.float32
        assert vector.shape == (extractor.kind.dimension,)
        assert np.isfinite(vector).all()

    def test_the_same_sound_gives_the_same_vector(self, extractor: Extractor) -> None:
        samples = clip(extractor, 6.0)
        first = extractor.vector(samples)
        extractor.vector(clip(extractor, 5.0))
        np.testing.assert_array_equal(first, extractor.vector(samples.copy()))

    def test_other_sound_gives_another_vector(self, extractor: Extractor) -> None:
        samples = clip(extractor, 6.0)
        assert not np.allclose(extractor.vector(samples), extractor.vector(samples[::-1] * np.float32(0.1)))

    @pytest.mark.parametrize("seconds", [0.001, 0.2, 5.0])
    def test_silence_of_any_length_gives_finite_numbers(self, extractor: Extractor, seconds: float) -> None:
        silence = np.zeros(max(1, int(seconds * extractor.rate)), np.float32)
        assert np.isfinite(extractor.vector(silence)).all()

    def test_a_fifth_of_a_second_gives_finite_numbers(self, extractor: Extractor) -> None:
        assert np.isfinite(extractor.vector(clip(extractor, 0.2))).all()

    def test_a_stereo_file_goes_from_disk_to_vector(
        self, extractor: Extractor, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        _, shortest = WINDOWS.get(extractor.kind.excerpt, (0.0, 0.0))  # seconds, of a file that has such an excerpt
        sound = load(stereo_file(tmp_path_factory.getbasetemp(), shortest), extractor.kind.excerpt, extractor.rate)
        assert sound.rate == extractor.rate
        assert np.isfinite(extractor.vector(sound.samples)).all()

    def test_the_input_is_not_written_to(self, extractor: Extractor) -> None:
        samples = clip(extractor, 5.0)
        samples.flags.writeable = False
        assert np.isfinite(extractor.vector(samples)).all()
