"""The report of a library: statistics, costs, certificates, and lists of albums to review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from music_reclass.classification.certify import StageCertificate, certificates_of
from music_reclass.features.library import Library
from music_reclass.features.results import ExitAudits, Scans, ScanStats, StageStats
from music_reclass.features.statistics import Cause, Outcomes
from music_reclass.report import listings
from music_reclass.report.statistics import Statistics, statistics_of

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.features.database import Database
    from music_reclass.features.scope import Scope
    from music_reclass.models.priors import ClassPrior
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
    policy: str  # by which tracks exit
    prior: ClassPrior | None  # how frequent genres are, where that counts
    audits: tuple[tuple[float, Mapping[str, Any]], ...]  # newest first: when, and what was found
    conflicts: Listing
    unsure: Listing
    failures: tuple[Cause, ...]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "library": dict(self.library),
            "figures": self.figures.as_json(),
            "scans": [scan.as_json() for scan in self.scans],
            "costs": {stage: cost.seconds_per_track for stage, cost in self.costs.items()},
            "exit_policy": self.policy,
            "prior": None if self.prior is None else self.prior.as_json(),
            "certificates": [certificate.as_json() for certificate in self.certificates],
            "audits": [{"at": at, **found} for at, found in self.audits],
            "conflicts": self.conflicts.as_json(),
            "unsure": self.unsure.as_json(),
            "failures": [asdict(cause) for cause in self.failures],
        }


def report_of(database: Database, cascade: Cascade, most: int = MOST, scope: Scope | None = None) -> Report:
    """The report of a library, or of the tracks of a scope, with the genres of `cascade`; lists hold at most `most`
    albums."""
    outcomes, scans = Outcomes(database, scope), Scans(database)
    totals = Library(database).totals()
    return Report(
        library=totals if scope is None else {**totals, "tracks": scope.count(), "missing": 0},
        figures=statistics_of(outcomes, cascade),
        scans=tuple(scans.last(_SCANS)),
        costs=scans.costs([stage.name for stage in cascade.stages]),
        certificates=certificates_of(database, cascade),
        policy=cascade.policy,
        prior=cascade.prior,
        audits=tuple(ExitAudits(database).last()),
        conflicts=listings.conflicts(outcomes, cascade, most),
        unsure=listings.unsure(outcomes, cascade, most),
        failures=tuple(outcomes.causes(_PATHS)),
    )
