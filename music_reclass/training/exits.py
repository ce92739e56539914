"""Exits that come with a certificate: from which confidence on a track may leave the ladder, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import BundleError

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

EPSILON, DELTA = 0.02, 0.1
GRID = np.round(np.arange(0.99, 0.0, -0.01), 2)


@dataclass(frozen=True, slots=True)
class Exit:
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


def certify_exit(
    confidence: Doubles,
    lost: Flags,
    epsilon: float = EPSILON,
    delta: float = DELTA,
    *,
    against: Sequence[str] = (),
    labels: bool = True,
) -> Exit:
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
        return Exit(None, epsilon, delta, count, against=tuple(against), labels=labels, why=why)
    found: tuple[float, int, float] | None = None
    for threshold in GRID:
        above = confidence >= threshold
        gone = int((above & lost).sum())
        if upper_bound(gone, count, delta) > epsilon:
            break
        found = (float(threshold), gone, float(above.mean()))
    if found is None:
        why = f"not certified: even the surest tracks lose more than {epsilon:.1%}"
        return Exit(None, epsilon, delta, count, against=tuple(against), labels=labels, why=why)
    return Exit(found[0], epsilon, delta, count, found[1], found[2], tuple(against), labels)


def strictest(own: Mapping[str, Exit]) -> Exit:
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
    return Exit(
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


def stated(own: Exit) -> dict[str, Any]:
    """What a manifest, or a library, keeps of an exit; JSON."""
    return {
        "threshold": own.threshold, "epsilon": own.epsilon, "delta": own.delta, "count": own.count, "lost": own.lost,
        "exits": round(own.exits, 4), "against": list(own.against), "labels": own.labels, "why": own.why,
        "gain": [list(pair) for pair in own.gain], "held_on": {name: dict(one) for name, one in own.held_on.items()},
    }  # fmt: skip


def from_stated(kept: Mapping[str, Any]) -> Exit:
    """The exit that `stated` wrote down; BundleError if it makes no sense."""
    try:
        return Exit(
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


def of_manifest(manifest: Mapping[str, Any]) -> tuple[Exit, ...]:
    """The exits that a bundle's manifest states, one for each ladder it was certified in; () where there are none."""
    return tuple(from_stated(kept) for kept in manifest.get("exits", ()))


def fitting(exits: Sequence[Exit], later: Sequence[str]) -> Exit | None:
    """The exit that was certified with just these bundles behind the stage; the last of them if there are several."""
    found = [own for own in exits if own.against == tuple(later)]
    return found[-1] if found else None
