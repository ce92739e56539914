"""The report of a library: statistics, costs, certificates, and lists of albums to review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from music_reclass.classification.certify import StageCertificate, certificates_of, stored_exits
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import ExitAudits, Scans, ScanStats, StageStats
from music_reclass.features.statistics import Cause, Outcomes
from music_reclass.models.metrics import PolicyCost
from music_reclass.report import listings
from music_reclass.report.statistics import Statistics, statistics_of

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.domain import Vote
    from music_reclass.features.database import Database
    from music_reclass.features.scope import Scope
    from music_reclass.models.early_exit import ExitRule
    from music_reclass.models.priors import ClassPrior
    from music_reclass.report.listings import Listing

MOST = 100
"""Albums in a list, unless something else is asked for: a page of a large library must stay usable."""

_PATHS = 20  # of one cause of failure
_SCANS = 10
_VOTES = 4000  # tracks by whose votes the exit policies are compared


@dataclass(frozen=True, slots=True)
class Report:
    """A library as it stands. Lists are cut; each says how much there is in all."""

    library: Mapping[str, int]
    figures: Statistics
    scans: tuple[ScanStats, ...]  # newest first
    costs: Mapping[str, StageStats]  # of the last scans that extracted vectors for it, by stage
    certificates: tuple[StageCertificate, ...]
    policy: str  # by which tracks exit
    policies: tuple[PolicyCost, ...]  # side by side, expected by the votes
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
            "policies": [one.as_json() for one in self.policies],
            "prior": None if self.prior is None else self.prior.as_json(),
            "certificates": [certificate.as_json() for certificate in self.certificates],
            "audits": [{"at": at, **found} for at, found in self.audits],
            "conflicts": self.conflicts.as_json(),
            "unsure": self.unsure.as_json(),
            "failures": [asdict(cause) for cause in self.failures],
        }


def policies_of(database: Database, cascade: Cascade) -> tuple[PolicyCost, ...]:
    """What each exit policy should reach and cost in this library, by the votes on its tracks, or on _VOTES of them.

    A track counts as right with the probability of the vote it would end with; where the next stage was never asked
    about it, with that of its last vote and the gain that is expected of going on. Albums are left out of account.
    """
    stages, policy = cascade.stages, cascade.policy
    if len(stages) < 2:
        return ()
    decisions, bundles = Decisions(database), [stage.bundle for stage in stages]
    voted, digests = decisions.voted(), {stage.name: stage.digest for stage in stages}
    cast = decisions.votes_cast_by(digests, voted[:: max(1, -(-len(voted) // _VOTES))]).values()
    votes = [by_stage for track in cast if stages[0].name in (by_stage := {vote.stage: vote for vote in track})]
    library = stored_exits(database, list(digests.values()))
    found = []
    for other in policy.beside() if votes else ():
        rules, right, reached = other.rules(bundles, library), 0.0, [0] * len(stages)
        for by_stage in votes:
            place, probability = _ends(by_stage, cascade, rules)
            right += probability
            for number in range(place + 1):
                reached[number] += 1
        asked = [count / len(votes) for count in reached]
        costs = [other.cost(bundles, number) for number in range(len(stages))]
        seconds = sum(float("nan") if cost is None else cost * share for cost, share in zip(costs, asked, strict=True))
        shares = tuple((stage.name, round(share, 4)) for stage, share in zip(stages, asked, strict=True))
        found.append(PolicyCost(other.label, right / len(votes), seconds, shares, other.label == policy.label))
    return tuple(found)


def _ends(votes: Mapping[str, Vote], cascade: Cascade, rules: Sequence[ExitRule | None]) -> tuple[int, float]:
    """The last stage that a track would be asked at, and how likely its genre is then right."""
    for place, (stage, rule) in enumerate(zip(cascade.stages, rules, strict=True)):
        vote = votes[stage.name]
        exits = rule is not None and rule.threshold is not None and vote.confidence >= rule.threshold
        if exits or place + 1 == len(cascade.stages):
            return place, vote.confidence
        if cascade.stages[place + 1].name not in votes:
            gain = rule.expected_gain(vote.confidence) if rule is not None and rule.gain else 0.0
            return place + 1, min(1.0, max(0.0, vote.confidence + gain))
    return 0, 0.0


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
        policy=cascade.policy.label,
        policies=policies_of(database, cascade),
        prior=cascade.prior,
        audits=tuple(ExitAudits(database).last()),
        conflicts=listings.conflicts(outcomes, cascade, most),
        unsure=listings.unsure(outcomes, cascade, most),
        failures=tuple(outcomes.causes(_PATHS)),
    )
