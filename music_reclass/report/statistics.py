"""Statistics of decisions: outcomes, expected precision, agreement with tags, confusions, reliability."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from music_reclass.classification.agreement import TagAgreement, tag_agreement
from music_reclass.features.statistics import BINS

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.features.statistics import Cell, Outcomes

NOBODY = "nobody"
_STEPS = 10  # of the reliability curve
_CONFUSIONS = 10


@dataclass(frozen=True, slots=True)
class ExpectedPrecision:
    """Decisions of one outcome for which one stage had the last word: the precision to expect is their mean calibrated
    confidence; `promised` is what the stage's bundle certifies, None where it certifies nothing."""

    outcome: str
    stage: str
    tracks: int
    precision: float
    promised: float | None


@dataclass(frozen=True, slots=True)
class DecidedBy:
    """How many tracks one stage had the last word for, and for how many of them the album spoke in the end."""

    stage: str
    tracks: int
    by_album: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Tracks decided as `genre` whose own tag counts as `tag`."""

    genre: str
    tag: str
    tracks: int


@dataclass(frozen=True, slots=True)
class Bin:
    """One step of confidence: tracks with an own tag, their mean confidence, the share that their tag bears out."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """All that can be counted about decisions. `histogram` holds counts by outcome in steps of 1/20 of confidence."""

    outcomes: Mapping[str, int]
    expected: tuple[ExpectedPrecision, ...]
    settled: tuple[DecidedBy, ...]
    genres: Mapping[str, int]
    histogram: Mapping[str, tuple[int, ...]]
    tagged: int  # decided tracks with an own tag that names a known genre
    borne_out: int
    confusions: tuple[Confusion, ...]
    reliability: tuple[Bin, ...]
    matrix_names: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]  # own tag by decided genre

    def as_json(self) -> dict[str, Any]:
        """The figures as plain values."""
        return asdict(self)


def statistics_of(outcomes: Outcomes, cascade: Cascade) -> Statistics:
    """The figures of the tracks that `outcomes` is about, in the words of `ladder`."""
    cells, voters = outcomes.cells(), voters_of(outcomes, cascade)
    counts: Counter[str] = Counter()
    histogram: dict[str, list[int]] = {name: [0] * BINS for name in ("confident", "likely", "unsure")}
    genres: Counter[str] = Counter()
    for cell in cells:
        counts[cell.outcome] += cell.count
        histogram[cell.outcome][cell.bin] += cell.count
        if cell.genre and cell.outcome != "unsure":
            genres[cell.genre] += cell.count
    for cause in outcomes.causes(0):
        counts[cause.outcome] += cause.count
    own = tag_agreement(cascade)
    beside = outcomes.cells_by_tags()
    names, matrix = _matrix(beside, own, cascade)
    judged = list(_judged(beside, own))
    return Statistics(
        outcomes={name: counts[name] for name in (*histogram, "skipped", "failed") if counts[name]},
        expected=tuple(_expected(cells, voters)),
        settled=decided_by(cells, voters),
        genres=dict(sorted(genres.items(), key=lambda item: (-item[1], item[0]))),
        histogram={name: tuple(row) for name, row in histogram.items()},
        tagged=sum(cell.count for cell, _ in judged),
        borne_out=sum(cell.count for cell, right in judged if right),
        confusions=_confusions(judged, own),
        reliability=_reliability(judged),
        matrix_names=names,
        matrix=matrix,
    )


def _last_word(cell: Cell, order: Sequence[str]) -> str:
    voted = [stage for stage in order if stage in cell.stages]
    return voted[-1] if voted else NOBODY


def voters_of(outcomes: Outcomes, cascade: Cascade) -> dict[str, Mapping[str, Any]]:
    """The stages of `cascade` and those besides that have votes in the library, in cascade order, with the manifest of
    the bundle of each."""
    found = {stage.name: stage.manifest for stage in cascade.stages} | outcomes.manifests()
    place = {stage.name: number for number, stage in enumerate(cascade.stages)}
    return dict(sorted(found.items(), key=lambda item: (place.get(item[0], len(item[1].get("kinds", ()))), item[0])))


def decided_by(cells: Iterable[Cell], voters: Iterable[str]) -> tuple[DecidedBy, ...]:
    """Which stage voted last for how many tracks: each of `voters`, and `NOBODY` where none has voted."""
    order = list(voters)
    tracks: Counter[str] = Counter()
    by_album: Counter[str] = Counter()
    for cell in cells:
        stage = _last_word(cell, order)
        tracks[stage] += cell.count
        by_album[stage] += cell.count if cell.by_album else 0
    stages = [*order, NOBODY] if tracks[NOBODY] else order
    return tuple(DecidedBy(stage, tracks[stage], by_album[stage]) for stage in stages)


def _expected(cells: Iterable[Cell], voters: Mapping[str, Mapping[str, Any]]) -> Iterator[ExpectedPrecision]:
    order = list(voters)
    certificates = {stage: manifest.get("certificates", {}) for stage, manifest in voters.items()}
    tracks: Counter[tuple[str, str]] = Counter()
    confidence: defaultdict[tuple[str, str], float] = defaultdict(float)
    for cell in cells:
        place = cell.outcome, _last_word(cell, order)
        tracks[place] += cell.count
        confidence[place] += cell.confidence
    for outcome in ("confident", "likely"):
        for stage in order:
            count = tracks[outcome, stage]
            if count:
                stated = certificates[stage].get(outcome) or {}
                promised = float(stated["precision"]) if stated.get("certified") else None
                yield ExpectedPrecision(outcome, stage, count, confidence[outcome, stage] / count, promised)


def _judged(beside: Iterable[Cell], own: TagAgreement) -> Iterator[tuple[Cell, bool]]:
    for cell in beside:
        right = own.agrees(cell.genre, cell.tags)
        if right is not None:
            yield cell, right


def _confusions(judged: Iterable[tuple[Cell, bool]], own: TagAgreement) -> tuple[Confusion, ...]:
    pairs: Counter[tuple[str, str]] = Counter()
    for cell, right in judged:
        if not right:
            pairs[cell.genre, own.counted_as(cell.tags) or ""] += cell.count
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
    return tuple(Confusion(genre, tag, count) for (genre, tag), count in ranked)


def _reliability(judged: Iterable[tuple[Cell, bool]]) -> tuple[Bin, ...]:
    count, confidence, right = [0] * _STEPS, [0.0] * _STEPS, [0] * _STEPS
    for cell, borne_out in judged:
        step = cell.bin * _STEPS // BINS
        count[step] += cell.count
        confidence[step] += cell.confidence
        right[step] += cell.count if borne_out else 0
    return tuple(
        Bin(count[step], confidence[step] / count[step], right[step] / count[step])
        for step in range(_STEPS)
        if count[step]
    )


def _matrix(
    beside: Iterable[Cell], own: TagAgreement, cascade: Cascade
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Own tag by decided genre, for the genres that occur; a track whose tag bears the decision out counts under it."""
    pairs: Counter[tuple[str, str]] = Counter()
    for cell, right in _judged(beside, own):
        decided = own.counted_as((cell.genre,))
        tag = decided if right else own.counted_as(cell.tags)
        if decided is not None and tag is not None:
            pairs[tag, decided] += cell.count
    present = {name for pair in pairs for name in pair}
    names = tuple(genre for genre in cascade.taxonomy.labels if genre in present)
    return names, tuple(tuple(pairs[row, column] for column in names) for row in names)
