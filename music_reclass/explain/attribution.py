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
"""The feature groups of the 518 numbers, with the feature families of each."""

GLOSSES: dict[str, str] = {
    "tone colour": "which instruments, how they are recorded",
    "harmony": "which notes sound together, and how that changes",
    "brightness": "how much lies in the treble",
    "clarity": "how far tones stand out from what is between them",
    "noisiness": "hiss, breath, cymbals, distortion",
    "loudness": "how loud it is, and how much that changes",
}

NETWORK = " features"
"""The end of the name of a group that holds all features of a network, as in `musicnn features`."""

SLIGHT, CLEAR, STRONG = 0.25, 1.0, 2.0  # changes of log-odds: 0.50 becomes 0.56, 0.73, 0.88
_EDGE = 1e-4
_NAMING = "tags that name"
_MOST_TAGS, _FAINT = 3, 0.02  # tags that are named, and from which strength on


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature group does to a genre's calibrated probability in one stage.

    `without`: the probability with this group alone at the baseline; `alone`: with all other groups there. `change` is
    the fall of the log-odds without the group, `by_itself` their rise by it alone; positive points to the genre.
    """

    group: str
    families: tuple[str, ...]
    without: float
    alone: float
    change: float
    by_itself: float

    @property
    def mark(self) -> str:
        """`+++`, `++`, `+`, ``, `-`, `--` or `---`: how much it points to the genre or against it."""
        size = abs(self.change)
        count = (size >= SLIGHT) + (size >= CLEAR) + (size >= STRONG)
        return ("+" if self.change > 0 else "-") * count

    @property
    def depends(self) -> bool:
        """Whether it points the other way when it is the only thing known: what it says depends on the rest."""
        return bool(self.mark) and self.change * self.by_itself < 0 and abs(self.by_itself) >= CLEAR

    def as_json(self) -> dict[str, Any]:
        """The contribution as plain values; the features of a network keep their older name there."""
        network = self.group.removesuffix(NETWORK)
        return {
            "name": self.group if network == self.group else f"what {network} hears",
            "change": round(self.change, 3),
            "without": round(self.without, 4),
            "by_itself": round(self.by_itself, 3),
            "alone": round(self.alone, 4),
        }


@dataclass(frozen=True, slots=True)
class Attribution:
    """What points to `genre` and against it in one stage: its `probability`, and the `baseline` of a median track.

    `groups`: the contributions of the feature groups, the largest first; `families`: those of the eleven feature
    families; `tags`: that of the tags that name the genre, where the model counts a tagger's tags, and `strongest`
    those of them that stand out, by their names in `data/evidence.toml` or the tagger's own, with their strengths.
    """

    stage: str
    genre: str
    probability: float
    baseline: float
    groups: tuple[Contribution, ...]
    families: tuple[Contribution, ...]
    tags: Contribution | None = None
    strongest: tuple[tuple[str, float], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The attribution as plain values; `ordinary` is the baseline and `sides` are the feature groups."""
        strongest = {tag: round(strength, 4) for tag, strength in self.strongest}
        return {
            "stage": self.stage,
            "genre": self.genre,
            "probability": round(self.probability, 4),
            "ordinary": round(self.baseline, 4),
            "sides": [contribution.as_json() for contribution in self.groups],
            "families": [contribution.as_json() for contribution in self.families],
            "tags": None if self.tags is None else {**self.tags.as_json(), "strongest": strongest},
        }

    def sentence(self) -> str:
        """The attribution in words, e.g. `harmony and tone colour point to Jazz, brightness against it`."""
        towards = [contribution.group for contribution in self.groups if contribution.mark.startswith("+")]
        against = [contribution.group for contribution in self.groups if contribution.mark.startswith("-")]
        parts = [f"{_joined(towards)} {_verb(towards)} to {self.genre}"] if towards else []
        if against and parts:
            parts.append(f"{_joined(against)} against it")
        elif against:
            parts.append(f"{_joined(against)} {_verb(against)} against {self.genre}")
        if parts:
            return ", ".join(parts)
        if abs(_log_odds(self.probability) - _log_odds(self.baseline)) < SLIGHT:
            return f"nothing in particular points to {self.genre}: the track is typical in every respect"
        return f"no single feature group makes it {self.genre}: only all of them together do"


def attribute(stage: Stage, row: Floats, genre: str) -> Attribution | None:
    """What points to `genre` in the vector `row`, (sum of the stage's kinds,), by ablation.

    The columns of one group are replaced by the medians of the rows that the classifier was trained on, and the
    genre's calibrated log-odds before and after are compared. None where the classifier keeps no medians, or does
    not know the genre.
    """
    medians = stage.bundle.medians()
    if medians is None or genre not in stage.genres:
        return None
    groups, families = list(_groups(stage)), list(_families(stage))
    named = _tags_of(stage, genre)
    parts = [*groups, *families]
    if named:
        parts.append((f"{_NAMING} {genre}", (), np.array(list(named), dtype=np.int64)))
    rows = [row, medians]
    for _, _, columns in parts:
        without, alone = row.copy(), medians.copy()
        without[columns], alone[columns] = medians[columns], row[columns]
        rows += [without, alone]
    likely = np.clip(_probabilities(stage, np.stack(rows), genre), _EDGE, 1 - _EDGE)
    odds = np.log(likely / (1 - likely))
    contributions = [
        Contribution(
            name,
            members,
            without=float(likely[2 * number]),
            alone=float(likely[2 * number + 1]),
            change=float(odds[0] - odds[2 * number]),
            by_itself=float(odds[2 * number + 1] - odds[1]),
        )
        for number, (name, members, _) in enumerate(parts, start=1)
    ]
    present = sorted(((float(row[column]), tag) for column, tag in named.items()), reverse=True)
    return Attribution(
        stage.name,
        genre,
        probability=float(likely[0]),
        baseline=float(likely[1]),
        groups=tuple(sorted(contributions[: len(groups)], key=lambda contribution: -abs(contribution.change))),
        families=tuple(contributions[len(groups) : len(groups) + len(families)]),
        tags=contributions[-1] if named else None,
        strongest=tuple((tag, strength) for strength, tag in present[:_MOST_TAGS] if strength >= _FAINT),
    )


def _log_odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def _verb(groups: list[str]) -> str:
    return "point" if len(groups) > 1 or groups[0].endswith(NETWORK) else "points"


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _probabilities(stage: Stage, rows: Floats, genre: str) -> NDArray[np.float64]:
    columns = np.array([name == genre for name in stage.genres])
    probabilities = np.asarray(stage.bundle.predict_proba(rows), dtype=np.float64)
    return np.asarray(probabilities[:, columns].sum(axis=1) / probabilities.sum(axis=1), dtype=np.float64)


def _groups(stage: Stage) -> Iterator[tuple[str, tuple[str, ...], NDArray[np.int64]]]:
    """The feature groups of a stage: those of the 518 numbers, and one for each network. Name, families, columns."""
    first = 0
    networks: dict[str, list[NDArray[np.int64]]] = {}
    for kind in stage.kinds:
        if kind.name == "fma518":
            for group, families in FEATURE_GROUPS.items():
                yield group, families, first + np.concatenate([np.r_[FAMILIES[family]] for family in families])
        else:  # musicnn and musicnn-tags are of one network
            network = kind.name.partition("-")[0]
            networks.setdefault(network, []).append(np.arange(first, first + kind.dimension))
        first += kind.dimension
    for network, columns in networks.items():
        yield f"{network}{NETWORK}", (), np.concatenate(columns)


def _tags_of(stage: Stage, genre: str) -> dict[int, str]:
    """The tags of a tagger that its model counts for `genre`, by their columns."""
    from music_reclass.models.tag_prior import tag_names

    kinds = [kind.name for kind in stage.kinds for _ in range(kind.dimension)]
    labels = np.array([name == genre for name in stage.genres])
    found: dict[int, str] = {}
    for prior in getattr(stage.bundle.model, "priors", ()):
        names = tag_names(kinds[prior.first])
        places = np.flatnonzero(prior.members[:, labels].any(axis=1)).tolist()
        found.update({prior.first + place: names[place] for place in places})
    return found


def _families(stage: Stage) -> Iterator[tuple[str, tuple[str, ...], NDArray[np.int64]]]:
    first = 0
    for kind in stage.kinds:
        if kind.name == "fma518":
            for family, columns in FAMILIES.items():
                yield family, (family,), first + np.r_[columns]
        first += kind.dimension
