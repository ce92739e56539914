"""Exit rules: from which confidence on a track exits the cascade early, certified by exact binomial bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import BundleError
from music_reclass.models.calibration import hits

if TYPE_CHECKING:
    from music_reclass.models.bundle import Bundle

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

EPSILON, DELTA = 0.02, 0.1
GRID = np.round(np.arange(0.99, 0.0, -0.01), 2)


LEAST = 0.5  # no threshold counts below it: what is decided is likelier than everything else together
MONITORED = 20  # artists from which a collection too small for a certificate is looked at all the same


@dataclass(frozen=True, slots=True)
class RiskTarget:
    """What an exit rule is to guarantee: with probability 1 - delta at most a share epsilon of all tracks is lost.

    A track is lost where it exits with a wrong genre although the whole cascade would have been right (`labels`), or
    with another genre than the whole cascade gives (not `labels`). The exits of one cascade share delta.
    """

    epsilon: float = EPSILON
    delta: float = DELTA
    labels: bool = True

    def shared(self, exits: int) -> RiskTarget:
        """What each of so many exits of a cascade must guarantee, for the cascade to guarantee this."""
        return replace(self, delta=self.delta / exits)

    @property
    def fewest(self) -> int:
        """The fewest independent tracks that certify it, if none of them is lost."""
        return math.ceil(math.log(self.delta) / math.log1p(-self.epsilon))


@dataclass(frozen=True, slots=True)
class ExitRule:
    """From which confidence on tracks exit at a stage, and the certificate of it: see `RiskTarget`.

    `lost` of `count` independent tracks were lost. `against` are the digests of the later stages' bundles, in order:
    with other ones behind it the certificate says nothing. Without a `threshold` no track exits, and `why` says so.
    """

    threshold: float | None
    epsilon: float = EPSILON
    delta: float = DELTA
    count: int = 0
    lost: int = 0
    exits: float = 0.0  # share of the tracks that exit here
    against: tuple[str, ...] = ()
    labels: bool = True
    why: str = ""
    gain: tuple[tuple[float, float], ...] = ()  # (confidence, expected gain of going on), confidence rising
    held_on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # what each set of rows allowed, by name
    policy: str = "certified"  # by which the threshold was chosen (exit_policy); the certificate is of "certified"

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 < self.threshold <= 1.0:
            raise ValueError("the threshold of an exit lies in (0, 1]")
        if not (0.0 < self.epsilon < 1.0 and 0.0 < self.delta < 1.0 and 0 <= self.lost <= self.count):
            raise ValueError("epsilon and delta lie in (0, 1), and no more tracks are lost than there are")

    @property
    def certified(self) -> bool:
        """Whether tracks exit here at all."""
        return self.threshold is not None

    def sentence(self) -> str:
        """For people."""
        if self.threshold is None:
            return f"never exits: {self.why}"
        if self.policy != "certified":
            return f"exits from {self.threshold:.2f} ({self.policy}: {self.why}); not certified"
        risk = (
            "wrong where the whole cascade is right" if self.labels else "of another genre than the whole cascade says"
        )
        return (
            f"exits from {self.threshold:.2f} ({self.exits:.0%} of tracks): at most {self.epsilon:.1%} of all tracks "
            f"{risk}, with probability {1 - self.delta:.0%} ({self.lost} of {self.count:,} independent tracks)"
        )

    def expected_gain(self, confidence: float) -> float:
        """How much likelier than now the final genre is right, if the cascade goes on at this confidence."""
        if not self.gain:
            return 1.0 - confidence  # nothing is known: the least sure first
        places, gains = zip(*self.gain, strict=True)
        return float(np.interp(confidence, places, gains))


def certify_exit_rule(
    confidence: Doubles, lost: Flags, target: RiskTarget | None = None, *, against: Sequence[str] = ()
) -> ExitRule:
    """The lowest threshold whose exact binomial upper bound on the share of lost tracks is at most epsilon.

    `confidence` (n,) is the stage's, `lost` (n,) whether exiting here would lose the track; the tracks must be
    independent (one an artist) and unseen. All n count, not those above the threshold alone, and the share of the lost
    only grows as the threshold falls: one bound at level delta (Clopper and Pearson 1934) is enough, no correction
    for many thresholds (RCPS, arXiv 2101.02703; Jazbec et al., arXiv 2405.20915).
    """
    target = target or RiskTarget()
    count, epsilon, delta = len(confidence), target.epsilon, target.delta
    rule = ExitRule(None, epsilon, delta, count, against=tuple(against), labels=target.labels)
    if count == 0 or upper_bound(0, count, delta) > epsilon:
        few = f"{count:,} independent tracks are too few, {target.fewest:,} are the least for {epsilon:.1%}"
        return replace(rule, why=f"not certified: {few}")
    for threshold in GRID:
        above = confidence >= threshold
        errors = int((above & lost).sum())
        if upper_bound(errors, count, delta) > epsilon:
            break
        rule = replace(rule, threshold=float(threshold), lost=errors, exits=float(above.mean()))
    if rule.threshold is None:
        return replace(rule, why=f"not certified: even the surest tracks lose more than {epsilon:.1%}")
    return rule


def exit_rules(
    bundles: Sequence[Bundle], library: Mapping[str, Sequence[ExitRule]] | None = None
) -> list[ExitRule | None]:
    """The exit rule that holds for each of `bundles`, a cascade's in order: None for the last, and where none fits.

    A rule fits that was certified with just the later bundles behind the stage. One certified on the user's library
    (`library`: digest of the bundle -> rules) comes before those that the bundle states; of several, the last one.
    """
    found: list[ExitRule | None] = []
    for place, bundle in enumerate(bundles):
        later = tuple(other.digest for other in bundles[place + 1 :])
        certified = (*exit_rules_of(bundle.manifest), *(library or {}).get(bundle.digest, ())) if later else ()
        found.append(next((rule for rule in reversed(certified) if rule.against == later), None))
    return found


def strictest(rules: Mapping[str, ExitRule]) -> ExitRule:
    """The rule that holds on every set of rows: the highest threshold, or none where one set allows none.

    `held_on` of the answer keeps what each set allowed, by the names given.
    """
    shown = {
        name: {"threshold": one.threshold, "count": one.count, "lost": one.lost, "exits": round(one.exits, 4)}
        for name, one in rules.items()
    }
    without = next(((name, rule) for name, rule in rules.items() if rule.threshold is None), None)
    if without is not None:
        name, rule = without
        return replace(rule, why=f"{rule.why} (on {name})", held_on=shown)
    return replace(max(rules.values(), key=lambda rule: rule.threshold or 0.0), why="", held_on=shown)


def gain_curve(confidence: Doubles, gained: Doubles, bins: int = 8) -> tuple[tuple[float, float], ...]:
    """The expected gain by confidence: means over equally filled bins, made to fall with confidence.

    `gained` (n,) is [whole cascade right] - [this stage right] for each row, so -1, 0 or 1. The pooling of adjacent
    violators (Ayer et al. 1955) makes it monotone: a few lucky rows must not send a sure track before an uncertain one.
    """
    order = np.argsort(confidence, kind="stable")
    blocks = [(part, 1.0) for part in np.array_split(order, max(1, min(bins, len(order)))) if len(part)]
    pooled: list[tuple[float, float, int]] = []  # mean confidence, mean gain, rows
    for part, _ in blocks:
        pooled.append((float(confidence[part].mean()), float(gained[part].mean()), len(part)))
        while len(pooled) > 1 and pooled[-1][1] > pooled[-2][1]:
            (low, first, few), (high, second, many) = pooled[-2:]
            rows = few + many
            pooled[-2:] = [((low * few + high * many) / rows, (first * few + second * many) / rows, rows)]
    return tuple((round(place, 4), round(gain, 4)) for place, gain, _ in pooled)


def one_a_group(groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """Positions of one row of every group, drawn by `seed`: rows of one artist are not independent."""
    order = np.random.default_rng(seed).permutation(len(groups))
    return np.sort(order[np.unique(groups[order], return_index=True)[1]])


def upper_bound(errors: int, count: int, delta: float) -> float:
    """The exact upper bound on a share of which `errors` of `count` were seen, at level `delta`."""
    from scipy.special import betaincinv

    return 1.0 if errors >= count else float(betaincinv(errors + 1, count - errors, 1 - delta))


def lower_bound(errors: int, count: int, delta: float) -> float:
    """The exact lower bound on a share of which `errors` of `count` were seen, at level `delta`."""
    from scipy.special import betaincinv

    return 0.0 if errors <= 0 else float(betaincinv(errors, count - errors + 1, delta))


def exit_as_manifest(rule: ExitRule) -> dict[str, Any]:
    """What a manifest, or a library, keeps of an exit rule; JSON."""
    return {
        "threshold": rule.threshold, "epsilon": rule.epsilon, "delta": rule.delta, "count": rule.count,
        "lost": rule.lost, "exits": round(rule.exits, 4), "against": list(rule.against), "labels": rule.labels,
        "why": rule.why, "gain": [list(pair) for pair in rule.gain],
        "held_on": {name: dict(one) for name, one in rule.held_on.items()},
    }  # fmt: skip


def exit_from_manifest(stored: Mapping[str, Any]) -> ExitRule:
    """The rule that `exit_as_manifest` wrote down; BundleError if it makes no sense."""
    try:
        return ExitRule(
            threshold=None if stored["threshold"] is None else float(stored["threshold"]),
            epsilon=float(stored["epsilon"]),
            delta=float(stored["delta"]),
            count=int(stored["count"]),
            lost=int(stored["lost"]),
            exits=float(stored["exits"]),
            against=tuple(str(digest) for digest in stored["against"]),
            labels=bool(stored["labels"]),
            why=str(stored["why"]),
            gain=tuple((float(place), float(gain)) for place, gain in stored["gain"]),
            held_on=dict(stored["held_on"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(f"An exit of the bundle makes no sense ({error}); train it again.") from error


def exit_rules_of(manifest: Mapping[str, Any]) -> tuple[ExitRule, ...]:
    """The exit rules that a bundle's manifest states, one for each cascade it was certified in; () where none.
    BundleError where they make no sense."""
    stated = manifest.get("exits", ())
    if not isinstance(stated, Sequence):
        raise BundleError("What the bundle states of its exits makes no sense; train it again.")
    return tuple(exit_from_manifest(stored) for stored in stated)


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Rows that no stage of a cascade was fitted on, and what each stage, cheapest first, said of them."""

    name: str
    groups: NDArray[np.int64]  # (n,) artists
    confidence: Doubles  # (stages, n)
    right: Flags  # (stages, n)

    @classmethod
    def of(
        cls, name: str, groups: NDArray[np.int64], probabilities: Sequence[Doubles], labels: Flags
    ) -> CalibrationSet:
        """From each stage's calibrated probabilities, (n, labels), and the label sets, (n, labels)."""
        confidence = np.stack([one.max(axis=1) for one in probabilities])
        return cls(name, groups, confidence, np.stack([hits(one, labels) for one in probabilities]))

    @property
    def artists(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.groups))

    def lost(self, position: int, last: int) -> Flags:
        """The rows that a cascade ending with stage `last` gets right and loses if they exit at `position`, (n,)."""
        return np.asarray(~self.right[position] & self.right[last], dtype=np.bool_)

    def share_lost(self, position: int, last: int, threshold: float) -> float:
        """The share of rows that is lost if all above `threshold` exit, every artist counting once."""
        lost = self.lost(position, last) & (self.confidence[position] >= threshold)
        return float(np.average(lost, weights=1.0 / np.bincount(self.groups)[self.groups]))


def certified_exit_rule(
    sets: Sequence[CalibrationSet], stages: tuple[int, int], target: RiskTarget, against: Sequence[str] = ()
) -> ExitRule:
    """The exit rule of the first of `stages` (positions) in a cascade that ends with the second: the strictest of all.

    The first set holds the clean rows of new artists; of it are the gain and the share of exits. For a certificate
    one row an artist counts. A set of too few artists for one is monitored: the share of it that is lost must not be
    above epsilon as it stands, which is less than a guarantee and is stated apart.
    """
    clean = sets[0]
    sound = [one for one in sets if one is clean or upper_bound(0, one.artists, target.delta) <= target.epsilon]
    small = [one for one in sets if all(one is not other for other in sound) and one.artists >= MONITORED]
    rule = strictest({one.name: _certified(one, stages, target, against) for one in sound})
    monitored = {one.name: _monitored(one, stages, target.epsilon) for one in small}
    position, last = stages
    confidence = clean.confidence[position]
    gain = gain_curve(confidence, clean.right[last].astype(np.float64) - clean.right[position])
    rule = replace(rule, gain=gain, held_on={**rule.held_on, **monitored})
    if rule.threshold is None:
        return rule
    threshold = max([rule.threshold, *(one["threshold"] for one in monitored.values())])
    at = [_lost_at(one, stages, threshold) for one in sound]
    count, lost = max(at, key=lambda pair: upper_bound(pair[1], pair[0], target.delta))
    return replace(rule, threshold=threshold, count=count, lost=lost, exits=float((confidence >= threshold).mean()))


def _certified(one: CalibrationSet, stages: tuple[int, int], target: RiskTarget, against: Sequence[str]) -> ExitRule:
    rows = one_a_group(one.groups)
    return certify_exit_rule(one.confidence[stages[0]][rows], one.lost(*stages)[rows], target, against=against)


def _monitored(one: CalibrationSet, stages: tuple[int, int], epsilon: float) -> dict[str, Any]:
    """The lowest threshold from which on no more than `epsilon` is lost as it stands, and what is lost there."""
    found = 1.0
    for threshold in GRID:
        if one.share_lost(*stages, float(threshold)) > epsilon:
            break
        found = float(threshold)
    return {
        "threshold": found,
        "count": one.artists,
        "share lost": round(one.share_lost(*stages, found), 4),
        "exits": round(float((one.confidence[stages[0]] >= found).mean()), 4),
        "certified": False,
    }


def _lost_at(one: CalibrationSet, stages: tuple[int, int], threshold: float) -> tuple[int, int]:
    """Independent rows of a set, and how many of them are lost at `threshold`."""
    rows = one_a_group(one.groups)
    lost = one.lost(*stages) & (one.confidence[stages[0]] >= threshold)
    return len(rows), int(lost[rows].sum())
