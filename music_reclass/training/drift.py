"""Data drift: how a library's features differ from those a bundle was trained on (PSI and mean shift)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import BundleError
from music_reclass.extractors.fma518 import COLUMNS, FAMILIES
from music_reclass.models.bundle import Bundle
from music_reclass.utils.words import counted, verb

Doubles = NDArray[np.float64]

SOME, MUCH = 0.1, 0.25  # the usual marks of the population stability index
ENOUGH = 100  # rows under which ten parts are too many
_FLOOR = 1e-3  # share of an empty part, so that its logarithm is finite


@dataclass(frozen=True, slots=True)
class DriftReference:
    """The training rows as a bundle keeps them: edges of equal parts, mean and spread of each column."""

    columns: tuple[str, ...]
    edges: Doubles  # (parts - 1, columns), ascending
    mean: Doubles
    spread: Doubles


@dataclass(frozen=True, slots=True)
class Drift:
    """The whole comparison, by feature family; `findings` are sentences, () where nothing is to be said."""

    count: int
    psi: Mapping[str, float]  # the median PSI of the family's columns
    shift: Mapping[str, float]  # of the family's means, in standard deviations of the training rows; NaN without means
    findings: tuple[str, ...]

    @property
    def worst(self) -> float:
        """The highest PSI of a family."""
        return max(self.psi.values())


def reference_of(bundle: Bundle) -> DriftReference:
    """What `bundle` keeps of its training rows; BundleError if it keeps nothing.

    Bundles keep deciles; the embedded one keeps the knots of its scale, taken over its rows and their augmentations.
    """
    profile = bundle.manifest.get("profile")
    if isinstance(profile, Mapping):
        edges, mean, spread = (np.array(profile[name], dtype=np.float64) for name in ("deciles", "mean", "spread"))
        return DriftReference(tuple(profile["columns"]), edges, mean, spread)
    knots = bundle.model.arrays().get("unchanged.knots")
    if knots is None or bundle.dimension != len(COLUMNS):
        raise BundleError(
            f"The bundle {bundle.name} {bundle.version} does not say what its training rows looked like; train it "
            "again."
        )
    knots = knots.astype(np.float64)
    shares = (np.arange(len(knots)) + 0.5) / len(knots)
    edges = np.stack([np.interp(np.arange(1, 10) / 10, shares, column) for column in knots.T], axis=1)
    return DriftReference(COLUMNS, edges, knots.mean(axis=0), knots.std(axis=0))


def drift(rows: NDArray[np.float32], reference: DriftReference) -> Drift:
    """The comparison of `rows`, (n, 518) in the order of COLUMNS, with the training rows."""
    place = {name: number for number, name in enumerate(COLUMNS)}
    values = rows[:, [place[name] for name in reference.columns]].astype(np.float64)
    stability = population_stability(values, reference.edges)
    shifts = (values.mean(axis=0) - reference.mean) / np.maximum(reference.spread, 1e-9)
    psi: dict[str, float] = {}
    shift: dict[str, float] = {}
    for family in FAMILIES:
        here = [number for number, name in enumerate(reference.columns) if name.startswith(f"{family}_")]
        means = [number for number in here if reference.columns[number].startswith(f"{family}_mean_")]
        if here:
            psi[family] = float(np.median(stability[here]))
            shift[family] = float(np.mean(shifts[means])) if means else float("nan")
    by_column = dict(zip(reference.columns, shifts.tolist(), strict=True))
    findings = [sentence for sentence, holds in _SYMPTOMS if holds(by_column)]
    worst = max(psi, key=lambda family: psi[family])
    if psi[worst] > MUCH and not findings:
        findings.append(
            f"{worst} differs most (PSI {psi[worst]:.2f}), in a way that fits no known fault of recordings; other "
            "genres than in training do that too"
        )
    if len(rows) < ENOUGH:
        findings.append(
            f"{counted(len(rows), 'track')} {verb(len(rows), 'is', 'are')} few for this comparison: "
            f"from {ENOUGH} on it means something"
        )
    return Drift(len(rows), psi, shift, tuple(findings))


def population_stability(rows: Doubles, edges: Doubles) -> Doubles:
    """PSI of each column: the sum over equal parts of (share - expected) ln(share / expected), (columns,)."""
    parts = len(edges) + 1
    found = np.zeros(rows.shape[1])
    for column in range(rows.shape[1]):
        # A value that several edges share (silence, say) may lie in any of the parts between them: it counts in each.
        first = np.searchsorted(edges[:, column], rows[:, column], side="left")
        last = np.searchsorted(edges[:, column], rows[:, column], side="right")
        weight = 1.0 / (last - first + 1)
        change = np.bincount(first, weight, parts + 1) - np.bincount(last + 1, weight, parts + 1)
        share = np.maximum(np.cumsum(change)[:parts] / len(rows), _FLOOR)
        found[column] = float(((share - 1 / parts) * np.log(share * parts)).sum())
    return found


def _mean(shifts: Mapping[str, float], family: str, number: int = 1) -> float:
    return shifts.get(f"{family}_mean_{number:02d}", 0.0)


# What the augmentations of the training table do to the means, measured: low-pass at 8 kHz moves bandwidth by -0.8 and
# centroid by -0.5 sd; at 11 kHz by -0.25 and the highest contrast band by -1.8; white noise at 25 dB bandwidth by +4.7;
# 9 dB less gain rmse by -1.4 and mfcc 1 by -1.2; a 64 kb/s MP3 the highest contrast band alone, by -1.2.
_SYMPTOMS: tuple[tuple[str, Callable[[Mapping[str, float]], bool]], ...] = (
    (
        "your files hold little above 8 kHz (16 kHz sample rate, speech codecs): bandwidth and centroid sit low",
        lambda s: _mean(s, "spectral_bandwidth") <= -0.5 and _mean(s, "spectral_centroid") <= -0.35,
    ),
    (
        "your files hold little above 11 kHz (22 kHz sample rate): the highest contrast band and bandwidth sit low",
        lambda s: (
            _mean(s, "spectral_contrast", 7) <= -0.8
            and -0.5 < _mean(s, "spectral_bandwidth") <= -0.12
            and _mean(s, "mfcc") > -0.6
        ),
    ),
    (
        "your files are heavily compressed (about 64 kb/s): the highest contrast band sits low, bandwidth does not",
        lambda s: (
            _mean(s, "spectral_contrast", 7) <= -0.6
            and -0.12 < _mean(s, "spectral_bandwidth") < 1.5
            and _mean(s, "mfcc") > -0.6
        ),
    ),
    (
        "your files carry hiss or noise (old transfers): bandwidth sits high and the second MFCC low",
        lambda s: _mean(s, "spectral_bandwidth") >= 1.5 and _mean(s, "mfcc", 2) <= -0.8,
    ),
    (
        "your files are quieter than those of the training: rmse and the first MFCC sit low",
        lambda s: _mean(s, "rmse") <= -0.6 and _mean(s, "mfcc") <= -0.6,
    ),
    (
        "your files are louder than those of the training: rmse sits high",
        lambda s: _mean(s, "rmse") >= 0.8,
    ),
)
