"""Attribution by ablation: how much each feature group adds to a genre against a median track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import FAMILIES

if TYPE_CHECKING:
    from music_reclass.classification.voter import Stage

Floats = NDArray[np.float32]

FEATURE_GROUPS: dict[str, tuple[str, ...]] = {
    "tone colour": ("mfcc",),
    "harmony": ("chroma_cens", "chroma_cqt", "chroma_stft", "tonnetz"),
    "brightness": ("spectral_centroid", "spectral_rolloff", "spectral_bandwidth"),
    "clarity": ("spectral_contrast",),
    "noisiness": ("zcr",),
    "loudness": ("rmse",),
}
"""The sides of the music that the 518 numbers measure, with the feature families behind each."""

GLOSSES: dict[str, str] = {
    "tone colour": "which instruments, how they are recorded",
    "harmony": "which notes sound together, and how that changes",
    "brightness": "how much lies in the treble",
    "clarity": "how far tones stand out from what is between them",
    "noisiness": "hiss, breath, cymbals, distortion",
    "loudness": "how loud it is, and how much that changes",
}

SLIGHT, CLEAR, STRONG = 0.25, 1.0, 2.0  # changes of log-odds: 0.50 becomes 0.56, 0.73, 0.88
_EDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one side of the music does to a genre's calibrated probability in one stage.

    `without`: the probability when this side alone is ordinary; `alone`: when all other sides are. `change` is the
    fall of the log-odds without it, `by_itself` their rise by it alone; positive speaks for the genre.
    """

    side: str
    families: tuple[str, ...]
    without: float
    alone: float
    change: float
    by_itself: float

    @property
    def mark(self) -> str:
        """`+++`, `++`, `+`, ``, `-`, `--` or `---`: how much it speaks for the genre or against it."""
        size = abs(self.change)
        count = (size >= SLIGHT) + (size >= CLEAR) + (size >= STRONG)
        return ("+" if self.change > 0 else "-") * count

    @property
    def depends(self) -> bool:
        """Whether it pulls the other way when it is the only thing known: what it says depends on the rest."""
        return bool(self.mark) and self.change * self.by_itself < 0 and abs(self.by_itself) >= CLEAR


@dataclass(frozen=True, slots=True)
class Attribution:
    """What spoke for and against `genre` in one stage: `now` as the track is, `ordinary` if all of it were ordinary.

    `sides` in the order of their weight; `families` the same for each of the eleven feature families by itself.
    """

    stage: str
    genre: str
    now: float
    ordinary: float
    sides: tuple[Contribution, ...]
    families: tuple[Contribution, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it as one object."""
        return {
            "stage": self.stage,
            "genre": self.genre,
            "probability": round(self.now, 4),
            "ordinary": round(self.ordinary, 4),
            "sides": [_stated(push) for push in self.sides],
            "families": [_stated(push) for push in self.families],
        }


def attribute(stage: Stage, row: Floats, genre: str) -> Attribution | None:
    """What speaks for `genre` in the vector `row`, (sum of the stage's kinds,), by ablation.

    The columns of one side are replaced by the medians of the rows that the classifier was trained on, and the
    genre's calibrated log-odds before and after are compared. None where the classifier keeps no medians, or does
    not know the genre.
    """
    middle = stage.bundle.medians()
    if middle is None or genre not in stage.genres:
        return None
    parts = [*_sides(stage), *_families(stage)]
    rows = [row, middle]
    for _, _, columns in parts:
        without, alone = row.copy(), middle.copy()
        without[columns], alone[columns] = middle[columns], row[columns]
        rows += [without, alone]
    likely = np.clip(_probabilities(stage, np.stack(rows), genre), _EDGE, 1 - _EDGE)
    odds = np.log(likely / (1 - likely))
    pushes = [
        Contribution(
            name,
            families,
            float(likely[2 * number]),
            float(likely[2 * number + 1]),
            float(odds[0] - odds[2 * number]),
            float(odds[2 * number + 1] - odds[1]),
        )
        for number, (name, families, _) in enumerate(parts, start=1)
    ]
    count = len(list(_sides(stage)))
    sides = sorted(pushes[:count], key=lambda push: -abs(push.change))
    return Attribution(stage.name, genre, float(likely[0]), float(likely[1]), tuple(sides), tuple(pushes[count:]))


def described(found: Attribution) -> str:
    """The attribution in one sentence, e.g. `harmony and tone colour speak for Jazz, brightness against it`."""
    for_it = [push.side for push in found.sides if push.mark.startswith("+")]
    against = [push.side for push in found.sides if push.mark.startswith("-")]
    parts = []
    if for_it:
        parts.append(f"{_listed(for_it)} {'speaks' if len(for_it) == 1 else 'speak'} for {found.genre}")
    if against and parts:
        parts.append(f"{_listed(against)} against it")
    elif against:
        parts.append(f"{_listed(against)} {'speaks' if len(against) == 1 else 'speak'} against {found.genre}")
    if parts:
        return ", ".join(parts)
    if abs(_odds(found.now) - _odds(found.ordinary)) < SLIGHT:
        return f"nothing in particular speaks for {found.genre}: it is ordinary in every respect"
    return f"no single side makes it {found.genre}: only all of them together do"


def _odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _probabilities(stage: Stage, rows: Floats, genre: str) -> NDArray[np.float64]:
    columns = np.array([name == genre for name in stage.genres])
    probabilities = np.asarray(stage.bundle.predict_proba(rows), dtype=np.float64)
    return np.asarray(probabilities[:, columns].sum(axis=1) / probabilities.sum(axis=1), dtype=np.float64)


def _sides(stage: Stage) -> Iterator[tuple[str, tuple[str, ...], NDArray[np.int64]]]:
    """The sides of the 518 numbers, and all that another extractor brings as one side: name, families, columns."""
    first = 0
    extractors: dict[str, list[NDArray[np.int64]]] = {}
    for kind in stage.kinds:
        if kind.name == "fma518":
            for side, families in FEATURE_GROUPS.items():
                yield side, families, first + np.concatenate([np.r_[FAMILIES[family]] for family in families])
        else:  # musicnn and musicnn-tags are one extractor
            name = kind.name.partition("-")[0]
            extractors.setdefault(name, []).append(np.arange(first, first + kind.dimension))
        first += kind.dimension
    for name, columns in extractors.items():
        yield f"what {name} hears", (), np.concatenate(columns)


def _families(stage: Stage) -> Iterator[tuple[str, tuple[str, ...], NDArray[np.int64]]]:
    first = 0
    for kind in stage.kinds:
        if kind.name == "fma518":
            for family, columns in FAMILIES.items():
                yield family, (family,), first + np.r_[columns]
        first += kind.dimension


def _stated(push: Contribution) -> dict[str, Any]:
    return {
        "name": push.side,
        "change": round(push.change, 3),
        "without": round(push.without, 4),
        "by_itself": round(push.by_itself, 3),
        "alone": round(push.alone, 4),
    }
