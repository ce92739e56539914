"""Exit rules: from which confidence a track may leave the cascade early, certified by exact binomial bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import BundleError
from music_reclass.models.calibration import hits
from music_reclass.models.precision import one_a_group

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

EPSILON, DELTA = 0.02, 0.1
GRID = np.round(np.arange(0.99, 0.0, -0.01), 2)


@dataclass(frozen=True, slots=True)
class ExitRule:
    """From which confidence on a stage lets a track go, and what is promised about it.

    With probability 1 - delta at most a share epsilon of all tracks leaves here with a wrong genre although the whole
    ladder would have been right (`labels`), or leaves with another genre than the whole ladder gives (not `labels`).
    `lost` of `count` independent tracks did. `against` are the digests of the later stages' bundles, in order: with
    other ones behind it the certificate says nothing. Without a `threshold` the stage never exits, and `why` says so.
    """

    threshold: float | None
    epsilon: float = EPSILON
    delta: float = DELTA
    count: int = 0
    lost: int = 0
    exits: float = 0.0  # share of the tracks that leave here
    against: tuple[str, ...] = ()
    labels: bool = True
    why: str = ""
    gain: tuple[tuple[float, float], ...] = ()  # (confidence, expected gain of going on), confidence rising
    held_on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # what each set of rows allowed, by name

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 < self.threshold <= 1.0:
            raise ValueError("the threshold of an exit lies in (0, 1]")
        if not (0.0 < self.epsilon < 1.0 and 0.0 < self.delta < 1.0 and 0 <= self.lost <= self.count):
            raise ValueError("epsilon and delta lie in (0, 1), and no more tracks are lost than there are")

    @property
    def certified(self) -> bool:
        """Whether tracks may leave here at all."""
        return self.threshold is not None

    def sentence(self) -> str:
        """For people."""
        if self.threshold is None:
            return f"never exits: {self.why}"
        risk = "wrong where the whole ladder is right" if self.labels else "of another genre than the whole ladder says"
        return (
            f"exits from {self.threshold:.2f} ({self.exits:.0%} of tracks): at most {self.epsilon:.1%} of all tracks "
            f"{risk}, with probability {1 - self.delta:.0%} ({self.lost} of {self.count:,} independent tracks)"
        )

    def expected_gain(self, confidence: float) -> float:
        """How much likelier than now the final genre is right, if the ladder goes on at this confidence."""
        if not self.gain:
            return 1.0 - confidence  # nothing is known: the least sure first
        places, gains = zip(*self.gain, strict=True)
        return float(np.interp(confidence, places, gains))


def certify_exit_rule(
    confidence: Doubles,
    lost: Flags,
    epsilon: float = EPSILON,
    delta: float = DELTA,
    *,
    against: Sequence[str] = (),
    labels: bool = True,
) -> ExitRule:
    """The lowest threshold whose exact binomial upper bound on the share of lost tracks is at most `epsilon`.

    `confidence` (n,) is the stage's, `lost` (n,) whether leaving here would lose the track; the tracks must be
    independent (one an artist) and unseen. All n count, not those above the threshold alone, and the share of the lost
    only grows as the threshold falls: one bound at level `delta` (Clopper and Pearson 1934) is enough, no correction
    for many thresholds (RCPS, arXiv 2101.02703; Jazbec et al., arXiv 2405.20915). Several exits of one ladder share
    delta among them: pass each its part.
    """
    count = len(confidence)
    if count == 0 or upper_bound(0, count, delta) > epsilon:
        needed = int(np.ceil(np.log(delta) / np.log1p(-epsilon)))
        why = f"not certified: {count:,} independent tracks are too few, {needed:,} are the least for {epsilon:.1%}"
        return ExitRule(None, epsilon, delta, count, against=tuple(against), labels=labels, why=why)
    found: tuple[float, int, float] | None = None
    for threshold in GRID:
        above = confidence >= threshold
        gone = int((above & lost).sum())
        if upper_bound(gone, count, delta) > epsilon:
            break
        found = (float(threshold), gone, float(above.mean()))
    if found is None:
        why = f"not certified: even the surest tracks lose more than {epsilon:.1%}"
        return ExitRule(None, epsilon, delta, count, against=tuple(against), labels=labels, why=why)
    return ExitRule(found[0], epsilon, delta, count, found[1], found[2], tuple(against), labels)


def strictest(own: Mapping[str, ExitRule]) -> ExitRule:
    """The exit that holds on every set of rows: the highest threshold, or none where one set allows none.

    `held_on` of the answer keeps what each set allowed, by the names given.
    """
    shown = {
        name: {"threshold": one.threshold, "count": one.count, "lost": one.lost, "exits": round(one.exits, 4)}
        for name, one in own.items()
    }
    without = [(name, one) for name, one in own.items() if one.threshold is None]
    if without:
        name, chosen = without[0]
        why = f"{chosen.why} (on {name})"
    else:
        name, chosen = max(own.items(), key=lambda pair: pair[1].threshold or 0.0)
        why = ""
    return ExitRule(
        chosen.threshold, chosen.epsilon, chosen.delta, chosen.count, chosen.lost, chosen.exits, chosen.against,
        chosen.labels, why, chosen.gain, shown,
    )  # fmt: skip


def gain_curve(confidence: Doubles, gained: Doubles, bins: int = 8) -> tuple[tuple[float, float], ...]:
    """The expected gain by confidence: means over equally filled bins, made to fall with confidence.

    `gained` (n,) is [whole ladder right] - [this stage right] for each row, so -1, 0 or 1. The pooling of adjacent
    violators (Ayer et al. 1955) makes it monotone: a few lucky rows must not send a sure track before a doubtful one.
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


def upper_bound(errors: int, count: int, delta: float) -> float:
    """The exact upper bound on a share of which `errors` of `count` were seen, at level `delta`."""
    from scipy.special import betaincinv

    return 1.0 if errors >= count else float(betaincinv(errors + 1, count - errors, 1 - delta))


def lower_bound(errors: int, count: int, delta: float) -> float:
    """The exact lower bound on a share of which `errors` of `count` were seen, at level `delta`."""
    from scipy.special import betaincinv

    return 0.0 if errors <= 0 else float(betaincinv(errors, count - errors + 1, delta))


def exit_as_manifest(own: ExitRule) -> dict[str, Any]:
    """What a manifest, or a library, keeps of an exit; JSON."""
    return {
        "threshold": own.threshold, "epsilon": own.epsilon, "delta": own.delta, "count": own.count, "lost": own.lost,
        "exits": round(own.exits, 4), "against": list(own.against), "labels": own.labels, "why": own.why,
        "gain": [list(pair) for pair in own.gain], "held_on": {name: dict(one) for name, one in own.held_on.items()},
    }  # fmt: skip


def exit_from_manifest(kept: Mapping[str, Any]) -> ExitRule:
    """The exit that `stated` wrote down; BundleError if it makes no sense."""
    try:
        return ExitRule(
            threshold=None if kept["threshold"] is None else float(kept["threshold"]),
            epsilon=float(kept["epsilon"]),
            delta=float(kept["delta"]),
            count=int(kept["count"]),
            lost=int(kept["lost"]),
            exits=float(kept["exits"]),
            against=tuple(str(digest) for digest in kept["against"]),
            labels=bool(kept["labels"]),
            why=str(kept["why"]),
            gain=tuple((float(place), float(gain)) for place, gain in kept["gain"]),
            held_on=dict(kept["held_on"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"An exit of the bundle makes no sense ({error}); train it again.") from error


def exit_rules_of(manifest: Mapping[str, Any]) -> tuple[ExitRule, ...]:
    """The exits that a bundle's manifest states, one for each ladder it was certified in; () where there are none."""
    return tuple(exit_from_manifest(kept) for kept in manifest.get("exits", ()))


def fitting_exit_rule(exits: Sequence[ExitRule], later: Sequence[str]) -> ExitRule | None:
    """The exit that was certified with just these bundles behind the stage; the last of them if there are several."""
    found = [own for own in exits if own.against == tuple(later)]
    return found[-1] if found else None


MONITORED = 20  # artists from which a collection too small for a certificate is looked at all the same


@dataclass(frozen=True, slots=True)
class StageScores:
    """What a stage said of rows that neither it nor its calibration saw; both (n,)."""

    confidence: Doubles
    right: Flags

    @classmethod
    def of(cls, probabilities: Doubles, labels: Flags) -> StageScores:
        """From calibrated probabilities and label sets, both (n, labels)."""
        return cls(probabilities.max(axis=1), hits(probabilities, labels))


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """One set of rows, and what every stage of the ladder, cheapest first, said of them."""

    name: str
    groups: NDArray[np.int64]  # (n,) artists
    stages: tuple[StageScores, ...]

    def lost(self, position: int, last: int) -> Flags:
        """The rows that a ladder ending with stage `last` gets right and loses if they leave at `position`, (n,)."""
        return ~self.stages[position].right & self.stages[last].right

    def share_lost(self, position: int, last: int, threshold: float) -> float:
        """The share of rows that is lost if all above `threshold` leave, every artist counting once."""
        gone = self.lost(position, last) & (self.stages[position].confidence >= threshold)
        return float(np.average(gone, weights=1.0 / np.bincount(self.groups)[self.groups]))


def certified_exit_rule(
    position: int, last: int, trials: Sequence[CalibrationSet], epsilon: float, delta: float, against: Sequence[str]
) -> ExitRule:
    """The exit of the stage at `position` in a ladder that ends with stage `last`: the strictest of all `trials`.

    The first trial holds the clean rows of new artists; of it are the gain and the share of exits. For a certificate
    one row an artist counts. A trial of too few artists for one is watched: the share of it that is lost must not be
    above `epsilon` as it stands, which is less than a promise and is stated apart.
    """
    clean, sound = trials[0], [trial for trial in trials if trial is trials[0] or _enough(trial, epsilon, delta)]
    own = strictest({t.name: _certificate(t, position, last, epsilon, delta, against) for t in sound})
    small = [trial for trial in trials if trial not in sound and _artists(trial) >= MONITORED]
    watched = {trial.name: _watched(trial, position, last, epsilon) for trial in small}
    confidence, right = clean.stages[position].confidence, clean.stages[position].right
    gain = gain_curve(confidence, clean.stages[last].right.astype(np.float64) - right)
    own = replace(own, gain=gain, held_on={**own.held_on, **watched})
    if own.threshold is None:
        return own
    threshold = max([own.threshold, *(one["threshold"] for one in watched.values())])
    at = [_at(trial, position, last, threshold) for trial in sound]
    count, lost = max(at, key=lambda pair: upper_bound(pair[1], pair[0], delta))
    return replace(own, threshold=threshold, count=count, lost=lost, exits=float((confidence >= threshold).mean()))


def _artists(trial: CalibrationSet) -> int:
    return len(np.unique(trial.groups))


def _enough(trial: CalibrationSet, epsilon: float, delta: float) -> bool:
    """Whether a trial without any loss would be certified."""
    return upper_bound(0, _artists(trial), delta) <= epsilon


def _certificate(
    trial: CalibrationSet, position: int, last: int, epsilon: float, delta: float, against: Sequence[str]
) -> ExitRule:
    rows = one_a_group(trial.groups)
    confidence, lost = trial.stages[position].confidence[rows], trial.lost(position, last)[rows]
    return certify_exit_rule(confidence, lost, epsilon, delta, against=against)


def _watched(trial: CalibrationSet, position: int, last: int, epsilon: float) -> dict[str, Any]:
    """The lowest threshold from which on no more than `epsilon` is lost as it stands, and what is seen there."""
    found = 1.0
    for threshold in GRID:
        if trial.share_lost(position, last, float(threshold)) > epsilon:
            break
        found = float(threshold)
    above = trial.stages[position].confidence >= found
    return {
        "threshold": found,
        "count": _artists(trial),
        "share lost": round(trial.share_lost(position, last, found), 4),
        "exits": round(float(above.mean()), 4),
        "certified": False,
    }


def _at(trial: CalibrationSet, position: int, last: int, threshold: float) -> tuple[int, int]:
    """Independent rows of a trial, and how many of them are lost at `threshold`."""
    rows = one_a_group(trial.groups)
    gone = trial.lost(position, last) & (trial.stages[position].confidence >= threshold)
    return len(rows), int(gone[rows].sum())
