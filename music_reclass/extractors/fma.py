"""The 518 handcrafted features of the FMA data set, as librosa 0.5.0 computed the published features.csv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import SkipTrack
from music_reclass.extractors.fma_chroma import constant_q_frames
from music_reclass.extractors.fma_spectrum import spectral_frames, zero_crossings
from music_reclass.extractors.fma_statistics import STATISTICS, seven_statistics
from music_reclass.extractors.fma_tables import RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Bump it with every change that moves any of the numbers: vectors of other versions are refused, not mixed.
VERSION = "1"
EXCERPTS = ("mid30", "full")
# features.csv sorts its columns by family, then statistic, then number.
_ROWS = {
    "chroma_cens": 12,
    "chroma_cqt": 12,
    "chroma_stft": 12,
    "mfcc": 20,
    "rmse": 1,
    "spectral_bandwidth": 1,
    "spectral_centroid": 1,
    "spectral_contrast": 7,
    "spectral_rolloff": 1,
    "tonnetz": 6,
    "zcr": 1,
}
COLUMNS: tuple[str, ...] = tuple(
    f"{family}_{statistic}_{number:02d}"
    for family, rows in _ROWS.items()
    for statistic in STATISTICS
    for number in range(1, rows + 1)
)


def _families() -> dict[str, slice]:
    first, families = 0, {}
    for family, rows in _ROWS.items():
        families[family] = slice(first, first + rows * len(STATISTICS))
        first = families[family].stop
    return families


FAMILIES: dict[str, slice] = _families()


@dataclass(frozen=True, slots=True)
class Fma518:
    """The extractor of feature kind `fma518`; input mono float32 at 44.1 kHz in int16 steps."""

    kind: FeatureKind
    rate: int = RATE

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """518 float32 in the order of COLUMNS, always finite, of at least one sample; SkipTrack for none."""
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        frames = frame_features(samples)
        parts = [seven_statistics(frames[family]).ravel() for family in _ROWS]
        return np.concatenate(parts).astype(np.float32)


def frame_features(samples: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Frame values (T, k) of the eleven families, of mono float32 at 44.1 kHz with at least one sample."""
    samples = _bounded(samples)
    spectral, tuning = spectral_frames(samples)
    return {**spectral, **constant_q_frames(samples, tuning), "zcr": zero_crossings(samples)}


def _bounded(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples, contiguous; wild values are clipped to full scale, as their squares would leave float32."""
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if float(samples.min()) > -16.0 and float(samples.max()) < 16.0:
        return samples
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32)


def fma518(excerpt: str) -> Fma518:
    """The extractor for one excerpt, `mid30` or `full`; ValueError for any other."""
    if excerpt not in EXCERPTS:
        raise ValueError(f"no excerpt {excerpt!r}; there are {', '.join(EXCERPTS)}")
    return Fma518(FeatureKind("fma518", VERSION, len(COLUMNS), excerpt))
