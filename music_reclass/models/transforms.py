"""Input transforms of models: transposition-invariant columns, quantile scaling, medians; profile of training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS, FAMILIES

if TYPE_CHECKING:
    from music_reclass.models.dataset import Table

Floats = NDArray[np.float32]

PITCHES = 12
KNOTS = 33
_FIRST = 4096  # numbers from here on are distinct columns, also as float32
_CHUNK = 64  # rows scaled at once: bounds the memory of the comparison with the knots


def unchanged(rows: Floats) -> Floats:
    """The rows themselves."""
    return rows


def key_free(rows: Floats) -> Floats:
    """Vectors that stay the same when the music is transposed, shape (n, 623), of fma518 `rows`, shape (n, 518).

    Twelve pitch classes give way to their sorted values and the magnitudes of their Fourier series; tonnetz, which
    turns with the key, is left out; all else is kept.
    """
    rest = [slice_ for family, slice_ in FAMILIES.items() if not family.startswith("chroma") and family != "tonnetz"]
    parts = [rows[:, columns] for columns in rest]
    for pitches in _pitch_blocks():
        values = rows[:, pitches]
        parts += [np.sort(values, axis=1), (np.abs(np.fft.rfft(values, axis=1)) / PITCHES).astype(np.float32)]
    return np.concatenate(parts, axis=1)


def embedding(rows: Floats) -> Floats:
    """The columns behind the 518: the vectors of later feature kinds."""
    return rows[:, len(COLUMNS) :]


def key_free_and_embedding(rows: Floats) -> Floats:
    """Both side by side, of `rows` with more than the 518 columns."""
    return np.concatenate([key_free(rows[:, : len(COLUMNS)]), embedding(rows)], axis=1)


AUDIOSET_FAMILIES: dict[str, tuple[slice, ...]] = {  # of AudioSet's 527 labels, whose order puts like beside like
    "music": (slice(137, 138),),
    "instruments": (slice(138, 204), slice(205, 214), slice(215, 216)),  # without tuning fork and theremin
    "genres and moods": (slice(216, 283),),
    "singing": (slice(27, 38),),
    "speech": (slice(0, 8),),
    "other voices and crowds": (slice(8, 27), slice(38, 72)),
    "animals": (slice(72, 137),),
    "weather, water and fire": (slice(283, 300),),
    "vehicles": (slice(300, 354),),
    "things and tools": (slice(354, 388), slice(404, 457), slice(463, 481)),
    "alarms and telephones": (slice(388, 404), slice(481, 484)),
    "silence": (slice(500, 501),),
    "pure tones": (slice(204, 205), slice(214, 215), slice(501, 504), slice(457, 458), slice(462, 463)),
    "noise and hum": (slice(496, 497), slice(513, 524)),
}


MUSICAL_FAMILIES = 4  # the first ones
FAINT = 0.05  # labels that are less likely say nothing: of ambient music an animal is 0.07 and of a song 0.002


def audioset_families(rows: Floats) -> Floats:
    """The log-odds of the likeliest label of each family, and of all musical ones together, shape (n, 15), of AudioSet
    probabilities `rows`, (n, 527); within those of FAINT and its opposite."""
    likeliest = [
        np.concatenate([rows[:, part] for part in parts], axis=1).max(axis=1) for parts in AUDIOSET_FAMILIES.values()
    ]
    musical = np.max(likeliest[:MUSICAL_FAMILIES], axis=0)
    shares = np.clip(np.stack([*likeliest, musical], axis=1), FAINT, 1 - FAINT)
    return np.asarray(np.log(shares / (1 - shares)), dtype=np.float32)


INPUTS: dict[str, Callable[[Floats], Floats]] = {
    "unchanged": unchanged,
    "key_free": key_free,
    "embedding": embedding,
    "key_free_and_embedding": key_free_and_embedding,
    "audioset_families": audioset_families,
}


def transpositions() -> NDArray[np.int64]:
    """Column numbers, shape (12, 518), that turn the pitch classes of a vector by 0 to 11 semitones."""
    turned = np.tile(np.arange(len(COLUMNS)), (PITCHES, 1))
    for pitches in _pitch_blocks():
        for semitones in range(PITCHES):
            turned[semitones, pitches] = np.roll(np.arange(pitches.start, pitches.stop), semitones)
    return turned


def _pitch_blocks() -> list[slice]:
    """The runs of twelve columns that are one statistic of the twelve pitch classes."""
    return [
        slice(first, first + PITCHES)
        for family, columns in FAMILIES.items()
        if family.startswith("chroma")
        for first in range(columns.start, columns.stop, PITCHES)
    ]


@dataclass(frozen=True, slots=True)
class QuantileScale:
    """Maps every column to a normal distribution, linearly between knots, and to its ends beyond them.

    Nothing that is not like the training data, such as a vast kurtosis, gets further than 2.5 from zero.
    """

    knots: Floats  # (knots, columns), ascending

    @classmethod
    def fit(cls, rows: Floats) -> QuantileScale:
        """The scale of `rows`, shape (n, columns)."""
        shares = (np.arange(KNOTS) + 0.5) / KNOTS
        return cls(np.quantile(rows, shares, axis=0).astype(np.float32))

    def __call__(self, rows: Floats) -> Floats:
        """Scaled `rows`, same shape."""
        out = np.empty(rows.shape, dtype=np.float32)
        for start in range(0, len(rows), _CHUNK):
            out[start : start + _CHUNK] = self._scaled(rows[start : start + _CHUNK])
        return out

    def medians(self, inputs: str, columns: int) -> Floats:
        """Medians of the raw columns, (2, columns), NaN where not known; see `base.Model.medians`.

        A row that holds its own column numbers is sent through `INPUTS[inputs]`: what comes out whole was copied or
        sorted, and shows from where. Magnitudes of Fourier series stay below the first number or fall between two. Of
        twelve pitch classes a key-free scale knows the sorted values only; they are given in that order, which a
        key-free model does not distinguish from any other.
        """
        middle = np.median(self.knots, axis=0).astype(np.float32)
        traced = INPUTS[inputs](_FIRST + np.arange(columns, dtype=np.float32)[None])[0]
        whole = (traced >= _FIRST) & (traced == np.floor(traced))
        found = np.full((2, columns), np.nan, dtype=np.float32)
        found[0 if inputs == "unchanged" else 1, traced[whole].astype(np.int64) - _FIRST] = middle[whole]
        return found

    def _scaled(self, rows: Floats) -> Floats:
        count, columns = len(self.knots), np.arange(rows.shape[1])
        normal = NormalDist()
        levels = np.array([normal.inv_cdf((number + 0.5) / count) for number in range(count)], dtype=np.float32)
        below = (rows[:, None, :] >= self.knots[None]).sum(axis=1)
        left = np.clip(below - 1, 0, count - 2)
        low, high = self.knots[left, columns], self.knots[left + 1, columns]
        width = np.where(high > low, high - low, 1.0)
        share = np.clip((rows - low) / width, 0.0, 1.0)
        return np.asarray(levels[left] + share * (levels[left + 1] - levels[left]), dtype=np.float32)


def merged_medians(parts: Iterable[Floats], columns: int) -> Floats:
    """Medians by several scales, (2, columns) each: the last known one counts."""
    found = np.full((2, columns), np.nan, dtype=np.float32)
    for part in parts:
        found = np.where(np.isnan(part), found, part)
    return found


def medians(table: Table) -> list[float]:
    """The median of every column, rounded to five digits; of all 518 where the table holds a part of them (else 0)."""
    found = dict(zip(table.columns, np.median(table.rows.astype(np.float64), axis=0).tolist(), strict=True))
    names = table.columns if table.columns[: len(COLUMNS)] == COLUMNS else COLUMNS
    return [float(f"{found.get(name, 0.0):.5g}") for name in names]


SHARES = tuple((np.arange(1, 10) / 10).tolist())  # deciles: ten equal parts for the population stability index


def profile(table: Table) -> dict[str, Any]:
    """Deciles, mean and spread of every column, rounded to five digits: what a bundle keeps of its training rows."""
    rows = table.rows.astype(np.float64)

    def short(values: Any) -> Any:
        return [float(f"{value:.5g}") for value in values]

    return {
        "columns": list(table.columns),
        "mean": short(rows.mean(axis=0)),
        "spread": short(rows.std(axis=0)),
        "deciles": [short(row) for row in np.quantile(rows, SHARES, axis=0)],
    }
