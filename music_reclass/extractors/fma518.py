"""The 518 handcrafted features of the FMA data set, as librosa 0.5.0 computed the published features.csv."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import SkipTrack
from music_reclass.extractors.fma_tables import RATE, dct, mel_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")


def seven_statistics(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Rows in the order of STATISTICS, shape (7, k), of frame values (T, k) with T >= 1.

    Moments are biased (ddof 0), kurtosis is Fisher's. A constant row has skew 0 and kurtosis -3, as scipy 0.19
    said; newer ones say NaN.
    """
    rows = np.ascontiguousarray(frames.T, dtype=np.float64)
    n = rows.shape[1]
    mean = rows.mean(axis=1)
    deviation = rows - mean[:, None]
    squares = deviation * deviation
    second = squares.mean(axis=1)
    third = np.einsum("ij,ij->i", squares, deviation) / n
    fourth = np.einsum("ij,ij->i", squares, squares) / n
    # float32 sorts four times as fast, and the result is float32 anyway
    ranked = np.sort(rows.astype(np.float32), axis=1)
    # a row that varies by no more than the rounding of its mean has no shape to speak of
    constant = ranked[:, 0] == ranked[:, -1]
    constant |= second <= np.maximum((np.finfo(np.float64).eps * mean) ** 2, np.finfo(np.float64).tiny ** 0.5)
    spread = np.where(constant, 1.0, second)
    skew = np.where(constant, 0.0, third / spread**1.5)
    kurtosis = np.where(constant, 0.0, fourth / spread**2) - 3.0
    median = 0.5 * (ranked[:, (n - 1) // 2].astype(np.float64) + ranked[:, n // 2])
    return np.stack([kurtosis, ranked[:, -1], mean, median, ranked[:, 0], skew, np.sqrt(second)])


# Bump it with every change that moves any of the numbers: vectors of other versions are refused, not mixed.
VERSION = "1"
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


class Fma518:
    """The extractor of feature kind `fma518`; input mono float32 at 44.1 kHz in int16 steps."""

    rate = RATE

    def __init__(self, excerpt: str) -> None:
        self.kind = FeatureKind("fma518", VERSION, len(COLUMNS), excerpt)

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """518 float32 in the order of COLUMNS, always finite, of at least one sample; SkipTrack for none."""
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        frames = frame_features(samples)
        parts = [seven_statistics(frames[family]).ravel() for family in _ROWS]
        return np.concatenate(parts).astype(np.float32)


BAND_LIMIT = 9000.0  # Hz; what is sampled at 16 kHz ends at 8 kHz
_ABOVE_FLOOR, _RIPPLE = 6.0, 0.15  # dB, and the share of a step that the ripple of 20 coefficients stays below
_STEEP, _WIDTH = 15.0, 6  # dB that the level falls by within so many bands (1.7 kHz at 8 kHz) at a low-pass's edge


def bandwidth_of(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Up to which frequency there is sound to speak of in the recordings of `rows` (n, 518): shape (n,), in Hz.

    The centre of the highest mel band whose mean level stands above the floor of the highest bands.
    """
    edge, _ = _edges(rows)
    return mel_edges()[1:-1][edge]


def is_band_limited(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which recordings of `rows` (n, 518) end below BAND_LIMIT at a steep edge: somebody cut them off there, or sampled
    them at 16 kHz. Music that only fades out towards high frequencies is not among them. Shape (n,)."""
    _, fall = _edges(rows)
    return (bandwidth_of(rows) < BAND_LIMIT) & (fall >= _STEEP)


def _edges(rows: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The highest mel band above the floor, and by how many dB the level falls to the floor from a few bands below it.

    The mean coefficients (MFCC) are the cosine transform of the mean levels, of which they keep what is coarse.
    """
    columns = [COLUMNS.index(f"mfcc_mean_{number:02d}") for number in range(1, 21)]
    levels = np.asarray(rows, dtype=np.float64)[:, columns] @ dct().T
    floor = np.sort(levels[:, 64:], axis=1)[:, :8].mean(axis=1)
    above = levels > (floor + np.maximum(_ABOVE_FLOOR, _RIPPLE * (levels[:, 64:].max(axis=1) - floor)))[:, None]
    edge = levels.shape[1] - 1 - above[:, ::-1].argmax(axis=1)
    below = levels[np.arange(len(levels)), np.maximum(edge - _WIDTH, 0)]
    return edge, below - floor


def frame_features(samples: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Frame values (T, k) of the eleven families, of mono float32 at 44.1 kHz with at least one sample."""
    samples = _bounded(samples)
    from music_reclass.extractors.fma_cqt import constant_q_frames  # needed in the workers, not by who reads COLUMNS
    from music_reclass.extractors.fma_spectrum import spectral_frames, zero_crossings

    spectral, tuning = spectral_frames(samples)
    return {**spectral, **constant_q_frames(samples, tuning), "zcr": zero_crossings(samples)}


def _bounded(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples, contiguous; wild values are clipped to full scale, as their squares would leave float32."""
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if float(samples.min()) > -16.0 and float(samples.max()) < 16.0:
        return samples
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32)
