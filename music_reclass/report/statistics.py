"""Statistics of decisions: outcomes, expected precision, agreement with tags, confusions, reliability."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from music_reclass.classification.agreement import TagAgreement, tag_agreement
from music_reclass.features.results import Scans
from music_reclass.features.statistics import BINS, Outcomes

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.features.results import ScanStats
    from music_reclass.features.scope import Scope
    from music_reclass.features.statistics import Cell
    from music_reclass.models.metrics import Point

NOBODY = "nobody"
_STEPS = 10  # of the reliability curve
_CONFUSIONS = 10


@dataclass(frozen=True, slots=True)
class ExpectedPrecision:
    """Decisions of one outcome by one stage: the precision to expect is their mean calibrated confidence; `certified`
    is the precision that the stage's bundle certifies, None where it certifies nothing."""

    outcome: str
    stage: str
    tracks: int
    precision: float
    certified: float | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """All that can be counted about decisions. `histogram` holds counts by outcome in steps of 1/20 of confidence."""

    outcomes: Mapping[str, int]
    expected: tuple[ExpectedPrecision, ...]
    decided_by: Mapping[str, tuple[int, int]]  # stage -> tracks with its vote last, those of them the album decided
    genres: Mapping[str, int]
    histogram: Mapping[str, tuple[int, ...]]
    tagged: int  # decided tracks with a user's tag that names a known genre
    agreeing: int  # those of them whose tag agrees with the decision
    confusions: tuple[tuple[str, str, int], ...]  # decided genre, genre of the tag, tracks; the most frequent first
    reliability: tuple[Point, ...]  # `precision`: the share of tracks whose tag agrees
    matrix_names: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]  # genre of the tag by decided genre

    def as_json(self) -> dict[str, Any]:
        """The figures as plain values; the keys are those of `report --json` since its first version."""
        return {
            "outcomes": dict(self.outcomes),
            "expected": [
                {
                    "outcome": row.outcome,
                    "stage": row.stage,
                    "tracks": row.tracks,
                    "precision": row.precision,
                    "promised": row.certified,
                }
                for row in self.expected
            ],
            "settled": [
                {"stage": stage, "tracks": tracks, "by_album": by_album}
                for stage, (tracks, by_album) in self.decided_by.items()
            ],
            "genres": dict(self.genres),
            "histogram": {outcome: list(counts) for outcome, counts in self.histogram.items()},
            "tagged": self.tagged,
            "borne_out": self.agreeing,
            "confusions": [{"genre": genre, "tag": tag, "tracks": count} for genre, tag, count in self.confusions],
            "reliability": [
                {"count": point.count, "confidence": point.confidence, "right": point.precision}
                for point in self.reliability
            ],
            "matrix_names": list(self.matrix_names),
            "matrix": [list(row) for row in self.matrix],
        }


def statistics_of(outcomes: Outcomes, cascade: Cascade) -> Statistics:
    """The figures of the tracks that `outcomes` is about, with the genres and thresholds of `cascade`."""
    cells = [cell for cell in outcomes.cells() if cell.outcome != "skipped"]  # no music: counted as a cause
    voters = voters_of(outcomes, cascade)
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
    agreement = tag_agreement(cascade)
    judged = list(_judged(outcomes.cells_by_tags(), agreement))
    names, matrix = _matrix(judged, agreement, cascade.taxonomy.labels)
    return Statistics(
        outcomes={name: counts[name] for name in (*histogram, "skipped", "failed") if counts[name]},
        expected=tuple(_expected(cells, voters)),
        decided_by=decided_by(cells, voters),
        genres=dict(sorted(genres.items(), key=lambda item: (-item[1], item[0]))),
        histogram={name: tuple(row) for name, row in histogram.items()},
        tagged=sum(cell.count for cell, _ in judged),
        agreeing=sum(cell.count for cell, agrees in judged if agrees),
        confusions=_confusions(judged, agreement),
        reliability=_reliability(judged),
        matrix_names=names,
        matrix=matrix,
    )


def store_scan(scope: Scope, stats: ScanStats, cascade: Cascade, arguments: Mapping[str, object]) -> None:
    """Store what a scan of the tracks in `scope` did, a dry one too: `report` shows it, and `explain` says what a stage
    costs a track."""
    outcomes = Outcomes(scope.database, scope)
    decided = decided_by(outcomes.cells(), voters_of(outcomes, cascade))
    stats.arguments = arguments
    for stage in cascade.stages:
        stats.stage(stage.name).settled = decided[stage.name][0]
    Scans(scope.database).save(stats)


def _last_stage(cell: Cell, order: Sequence[str]) -> str:
    voted = [stage for stage in order if stage in cell.stages]
    return voted[-1] if voted else NOBODY


def voters_of(outcomes: Outcomes, cascade: Cascade) -> dict[str, Mapping[str, Any]]:
    """The stages of `cascade` and those besides that have votes in the library, in cascade order, with the manifest of
    the bundle of each."""
    found = {stage.name: stage.manifest for stage in cascade.stages} | outcomes.manifests()
    place = {stage.name: number for number, stage in enumerate(cascade.stages)}
    return dict(sorted(found.items(), key=lambda item: (place.get(item[0], len(item[1].get("kinds", ()))), item[0])))


def decided_by(cells: Iterable[Cell], voters: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Tracks that each of `voters` voted on last, and how many of these the album decided; `NOBODY` where none has."""
    order = list(voters)
    tracks: Counter[str] = Counter()
    by_album: Counter[str] = Counter()
    for cell in cells:
        if cell.outcome == "skipped":
            continue
        stage = _last_stage(cell, order)
        tracks[stage] += cell.count
        by_album[stage] += cell.count if cell.by_album else 0
    stages = [*order, NOBODY] if tracks[NOBODY] else order
    return {stage: (tracks[stage], by_album[stage]) for stage in stages}


def _expected(cells: Iterable[Cell], voters: Mapping[str, Mapping[str, Any]]) -> Iterator[ExpectedPrecision]:
    order = list(voters)
    certificates = {stage: manifest.get("certificates", {}) for stage, manifest in voters.items()}
    tracks: Counter[tuple[str, str]] = Counter()
    confidence: defaultdict[tuple[str, str], float] = defaultdict(float)
    for cell in cells:
        place = cell.outcome, _last_stage(cell, order)
        tracks[place] += cell.count
        confidence[place] += cell.confidence
    for outcome in ("confident", "likely"):
        for stage in order:
            count = tracks[outcome, stage]
            if count:
                stated = certificates[stage].get(outcome) or {}
                certified = float(stated["precision"]) if stated.get("certified") else None
                yield ExpectedPrecision(outcome, stage, count, confidence[outcome, stage] / count, certified)


def _judged(cells: Iterable[Cell], agreement: TagAgreement) -> Iterator[tuple[Cell, bool]]:
    for cell in cells:
        agrees = agreement.agrees(cell.genre, cell.tags)
        if agrees is not None:
            yield cell, agrees


def _confusions(judged: Iterable[tuple[Cell, bool]], agreement: TagAgreement) -> tuple[tuple[str, str, int], ...]:
    pairs: Counter[tuple[str, str]] = Counter()
    for cell, agrees in judged:
        if not agrees:
            pairs[cell.genre, agreement.counted_as(cell.tags) or ""] += cell.count
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
    return tuple((genre, tag, count) for (genre, tag), count in ranked)


def _reliability(judged: Iterable[tuple[Cell, bool]]) -> tuple[Point, ...]:
    from music_reclass.models.metrics import Point  # not at import: a scan stores its record without it

    count, confidence, right = [0] * _STEPS, [0.0] * _STEPS, [0] * _STEPS
    for cell, agrees in judged:
        step = cell.bin * _STEPS // BINS
        count[step] += cell.count
        confidence[step] += cell.confidence
        right[step] += cell.count if agrees else 0
    return tuple(
        Point(confidence[step] / count[step], count[step], count[step] / sum(count), right[step] / count[step])
        for step in range(_STEPS)
        if count[step]
    )


def _matrix(
    judged: Iterable[tuple[Cell, bool]], agreement: TagAgreement, labels: Iterable[str]
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Genre of the tag by decided genre, for the genres that occur; a track whose tag agrees counts as decided."""
    pairs: Counter[tuple[str, str]] = Counter()
    for cell, agrees in judged:
        decided = agreement.counted_as((cell.genre,))
        tag = decided if agrees else agreement.counted_as(cell.tags)
        if decided is not None and tag is not None:
            pairs[tag, decided] += cell.count
    present = {name for pair in pairs for name in pair}
    names = tuple(genre for genre in labels if genre in present)
    return names, tuple(tuple(pairs[row, column] for column in names) for row in names)
