"""The report of a scan or of a library: statistics, costs, certificates and lists."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from music_reclass.features.library import Library
from music_reclass.features.results import Scans, ScanStats, StageStats
from music_reclass.features.statistics import Cause, Outcomes
from music_reclass.report.statistics import ExpectedPrecision, Statistics, decided_by, statistics_of, voters_of

if TYPE_CHECKING:
    from music_reclass.classification.certify import StageCertificate
    from music_reclass.classification.voter import Cascade
    from music_reclass.features.database import Database
    from music_reclass.features.scope import Scope
    from music_reclass.report.listings import Listing

MOST = 100
"""Albums in a list, unless something else is asked for: a page of a large library must stay usable."""

_PATHS = 20  # of one cause of failure
_SCANS = 10


@dataclass(frozen=True, slots=True)
class Report:
    """A library as it stands. Lists are cut; each says how much there is in all."""

    library: Mapping[str, int]
    figures: Statistics
    scans: tuple[ScanStats, ...]  # newest first
    costs: Mapping[str, StageStats]  # of the last scans that extracted vectors for it, by stage
    certificates: tuple[StageCertificate, ...]
    audits: tuple[tuple[float, Mapping[str, Any]], ...]  # newest first: when, and what was found
    conflicts: Listing
    unsure: Listing
    failures: tuple[Cause, ...]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            **asdict(self),
            "certificates": [certificate.as_json() for certificate in self.certificates],
            "scans": [scan.as_json() for scan in self.scans],
            "costs": {stage: cost.seconds_per_track for stage, cost in self.costs.items()},
            "audits": [{"at": at, **found} for at, found in self.audits],
        }


def report_of(database: Database, cascade: Cascade, most: int = MOST) -> Report:
    """The report of a library, in the words of `ladder`; lists hold at most `most` albums."""
    from music_reclass.classification.agreement import tag_agreement
    from music_reclass.classification.certify import certificates_of
    from music_reclass.features.results import ExitAudits
    from music_reclass.report import listings

    outcomes, scans = Outcomes(database), Scans(database)
    return Report(
        library=Library(database).totals(),
        figures=statistics_of(outcomes, cascade),
        scans=tuple(scans.last(_SCANS)),
        costs=scans.costs([stage.name for stage in cascade.stages]),
        certificates=certificates_of(database, cascade),
        audits=tuple(ExitAudits(database).last()),
        conflicts=listings.conflicts(outcomes, tag_agreement(cascade), most),
        unsure=listings.unsure(outcomes, cascade, most),
        failures=tuple(outcomes.causes(_PATHS)),
    )


def store_scan(scope: Scope, stats: ScanStats, cascade: Cascade, arguments: Mapping[str, object]) -> None:
    """Store what a scan of the tracks in `scope` did, a dry one too: `report` shows it, and `explain` says what a stage
    costs a track."""
    outcomes = Outcomes(scope.database, scope)
    last_words = {own.stage: own.tracks for own in decided_by(outcomes.cells(), voters_of(outcomes, cascade))}
    stats.arguments = arguments
    for stage in cascade.stages:
        stats.stage(stage.name).settled = last_words.get(stage.name, 0)
    Scans(scope.database).save(stats)


def after_scan(stats: ScanStats, outcomes: Outcomes, cascade: Cascade) -> Iterator[tuple[str, str]]:
    """The summary of a scan as (label, text) lines: stage mix, time per stage, precision to expect, confusions.

    To be called before anything is written, while the tags are still those that people gave.
    """
    figures = statistics_of(outcomes, cascade)
    yield from stage_lines(figures)
    costs = [f"{name} {cost.seconds_per_track:.2g} s a track" for name, cost in stats.stages.items() if cost.extracted]
    if costs:
        yield "cost", " · ".join(costs)
    yield from expectation_lines(figures)
    yield from confusion_lines(figures, 5)


def stage_lines(figures: Statistics) -> Iterator[tuple[str, str]]:
    """Who had the last word for how many tracks."""
    total = sum(own.tracks for own in figures.settled)
    if total:
        words = []
        for own in figures.settled:
            album = f", {own.by_album:,} by album" if own.by_album else ""
            words.append(f"{own.stage} {own.tracks:,} ({own.tracks / total:.0%}{album})")
        yield "stages", " · ".join(words)


def expectation_lines(figures: Statistics) -> Iterator[tuple[str, str]]:
    """How many of the decisions are expected to be right, and what is promised about them."""
    for outcome in ("confident", "likely"):
        rows = [own for own in figures.expected if own.outcome == outcome]
        count = sum(own.tracks for own in rows)
        if not count:
            continue
        mean = sum(own.tracks * own.precision for own in rows) / count
        promises = ", ".join(f"{own.stage} {guarantee_words(own)}" for own in rows)
        yield "expected", f"{mean:.0%} of {count:,} {outcome} right (promised: {promises})"


def guarantee_words(own: ExpectedPrecision) -> str:
    """What a stage's bundle certifies about decisions of an outcome."""
    return "nothing" if own.promised is None else f"{own.promised:.0%}"


def confusion_lines(figures: Statistics, most: int) -> Iterator[tuple[str, str]]:
    """The largest disagreements with people's tags."""
    if figures.tagged:
        share = figures.borne_out / figures.tagged
        yield "own tags", f"bear out {share:.0%} of the decisions for {figures.tagged:,} tracks that have one"
    if figures.confusions:
        shown = [f"{own.genre} tagged as {own.tag} {own.tracks:,}" for own in figures.confusions[:most]]
        yield "confused", " · ".join(shown)


def cost_words(stage: str, cost: StageStats) -> str:
    """What a stage cost, in words."""
    each = cost.seconds_per_track
    words = f"{stage} {duration(cost.seconds)} for {cost.extracted:,} tracks"
    return words if each is None else f"{words}, {each:.2g} s each"


def scan_words(scan: ScanStats) -> str:
    """What a scan did, in words."""
    costs = [cost_words(name, cost) for name, cost in scan.stages.items() if cost.extracted] or ["nothing new to hear"]
    stopped = ", stopped" if scan.stopped else ""
    return f"{scan.found:,} files, {scan.decided:,} decided{stopped}: {' · '.join(costs)}"


def certificate_lines(certificates: Iterable[StageCertificate]) -> Iterator[tuple[str, str]]:
    """From which confidence on each stage lets tracks go."""
    for own in certificates:
        yield "exit", f"{own.stage} {own.sentence}" + (" (certified on this library)" if own.from_library else "")


def audit_lines(audits: Iterable[tuple[float, Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    """What audits of early exits found."""
    for at, found in audits:
        when = time.strftime("%Y-%m-%d", time.localtime(at))
        yield "audit", f"{when}: {found['heard']:,} of about {found['early']:,} early exits heard by the whole ladder"
        for own in found["judgements"]:
            yield "", f"{'ALARM ' if own['alarm'] else ''}{own['stage']}: {own['sentence']}"


def duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 90 else f"{minutes} min"
