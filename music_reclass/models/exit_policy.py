"""Exit policies: certified rules, expected gain for its price in seconds, or one fixed confidence; as exit rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from music_reclass.models.early_exit import GRID, LEAST, ExitRule, exit_rules, exit_rules_of

if TYPE_CHECKING:
    from music_reclass.models.bundle import Bundle

CERTIFIED, EXPECTED, FIXED = "certified", "expected", "fixed"

EFFORTS = MappingProxyType({"quick": 1.0, "balanced": 0.1, "thorough": 0.01})
"""What a second costs by effort: how much likelier right a track must become for each second that is spent on it."""

FIRST_READ = frozenset({"fma518", "efficientat", "efficientat-tags"})
"""Feature kinds that are computed from the first decoding of a file, so that a stage of them costs hardly more."""

# Seconds a track by feature kind: on processors measured by `python benchmarks/cascade.py` (fma518, musicnn: with
# decoding) and `python benchmarks/networks.py`; on a card a guess, as nothing was measured there. Used
# until the library's scans have measured their own.
SECONDS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "cpu": {
            "fma518": 0.11, "efficientat": 0.05, "efficientat-tags": 0.0, "musicnn": 0.28, "musicnn-tags": 0.0,
            "mert": 3.3, "mert-330m": 6.0, "jmla": 1.3,
        },
        "cuda": {
            "fma518": 0.11, "efficientat": 0.05, "efficientat-tags": 0.0, "musicnn": 0.28, "musicnn-tags": 0.0,
            "mert": 0.15, "mert-330m": 0.15, "jmla": 0.15,
        },
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExitPolicy:
    """How the exits of a cascade are chosen: `name` and the number that goes with it, a price or a confidence.

    `seconds` a track by feature kind; `measured` by stage, which count before. They are fixed when it is made.
    """

    name: str = CERTIFIED
    price: float = EFFORTS["balanced"]
    confidence: float = 1.0
    seconds: Mapping[str, float] = field(default_factory=lambda: SECONDS["cpu"])
    measured: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, words: str, effort: str = "balanced", device: str = "cpu", measured: Mapping[str, float] | None = None
    ) -> ExitPolicy:
        """The policy that the settings name: `certified`, `expected` or `fixed:0.85`.

        Seconds count as the nearest power of two: a few scans more must not change every decision.
        """
        costs = {stage: _rounded(value) for stage, value in (measured or {}).items() if value > 0}
        seconds, price = SECONDS[device], EFFORTS[effort]
        name, _, confidence = words.partition(":")
        return cls(name, price, float(confidence or 1.0), seconds, costs)

    @property
    def label(self) -> str:
        """The policy in the words of the settings."""
        if self.name == FIXED:
            return f"fixed:{self.confidence:g}"
        if self.name == CERTIFIED:
            return self.name
        effort = next((word for word, price in EFFORTS.items() if price == self.price), f"{self.price:g} a second")
        return f"{self.name} ({effort})"

    def beside(self) -> list[ExitPolicy]:
        """The policies that are shown side by side, this one among them, with its costs."""
        fixed = self if self.name == FIXED else replace(self, name=FIXED, confidence=0.85)
        expected = [replace(self, name=EXPECTED, price=price) for price in EFFORTS.values()]
        return [replace(self, name=CERTIFIED), *expected, fixed]

    def rules(
        self, bundles: Sequence[Bundle], library: Mapping[str, Sequence[ExitRule]] | None = None
    ) -> list[ExitRule | None]:
        """The exit rule of each of `bundles`, a cascade's in order; None for the last, and where nothing is known.

        `library` holds rules certified on the user's library, by the digest of the bundle. No threshold lies below
        LEAST or below what a later stage finds likely. Unless it is fixed, none is before a stage of the first reading.
        """
        certified = exit_rules(bundles, library)
        return [
            None if place == len(bundles) - 1 else self._rule(bundles, place, rule, (library or {}))
            for place, rule in enumerate(certified)
        ]

    def cost(self, bundles: Sequence[Bundle], place: int) -> float | None:
        """Seconds a track that asking the bundle at `place` takes beside what the earlier ones have; None: unknown."""
        bundle = bundles[place]
        if bundle.stage in self.measured:
            return self.measured[bundle.stage]
        each = [self.seconds.get(name) for name in _new_kinds(bundles, place)]
        return None if any(one is None for one in each) else _rounded(math.fsum(one for one in each if one is not None))

    def _rule(
        self,
        bundles: Sequence[Bundle],
        place: int,
        certified: ExitRule | None,
        library: Mapping[str, Sequence[ExitRule]],
    ) -> ExitRule | None:
        following = bundles[place + 1]
        if self.name == FIXED:
            found: ExitRule | None = replace(
                certified or ExitRule(None), threshold=self.confidence, policy=FIXED, why=f"set to {self.confidence:g}"
            )
        elif _new_kinds(bundles, place + 1) <= FIRST_READ:
            why = f"the features of {following.stage} are there when a file has been read"
            return replace(certified or ExitRule(None), threshold=None, policy=self.name, why=why)
        else:
            found = (self._expected(bundles, place, library) if self.name == EXPECTED else None) or certified
        if found is None or found.threshold is None:
            return found
        least = max([LEAST, *(_likely(later) for later in bundles[place + 1 :])])
        return found if found.threshold >= least else replace(found, threshold=least)

    def _expected(
        self, bundles: Sequence[Bundle], place: int, library: Mapping[str, Sequence[ExitRule]]
    ) -> ExitRule | None:
        """The rule by expected gain; None where the gain of asking all later stages or a cost is not known, and where
        the user has certified a rule on the library, which was asked for and counts.

        Going on can pay by the next stage or by several together: the highest of their thresholds counts.
        """
        bundle, later = bundles[place], tuple(other.digest for other in bundles[place + 1 :])
        if any(rule.against == later for rule in library.get(bundle.digest, ())):
            return None
        stated = exit_rules_of(bundle.manifest)
        whole = next((one for one in reversed(stated) if one.against == later and one.gain), None)
        if whole is None:
            return None
        thresholds, cost = [], 0.0
        for count in range(1, len(later) + 1):
            step = self.cost(bundles, place + count)
            if step is None:
                return None
            cost += step
            rule = next((one for one in reversed(stated) if one.against == later[:count] and one.gain), None)
            if rule is not None:
                thresholds.append(worthless_from(rule, self.price * cost))
        least = f"{self.price * cost:.1%}, the price of {cost:.2g} s"
        if None in thresholds:
            return replace(
                whole, threshold=None, policy=EXPECTED, why=f"asking on is always expected to gain over {least}"
            )
        threshold = max(one for one in thresholds if one is not None)
        return replace(whole, threshold=threshold, policy=EXPECTED, why=f"from there asking on gains less than {least}")


def worthless_from(rule: ExitRule, price: float) -> float | None:
    """The lowest confidence from which on asking further is expected to gain no more than `price`; None: nowhere."""
    found = None
    for confidence in (1.0, *GRID):
        if rule.expected_gain(float(confidence)) > price:
            break
        found = float(confidence)
    return found


def _rounded(seconds: float) -> float:
    """The nearest power of two."""
    return 2.0 ** round(math.log2(seconds)) if seconds > 0 else 0.0


def _new_kinds(bundles: Sequence[Bundle], place: int) -> frozenset[str]:
    """The names of the feature kinds that the bundle at `place` needs and no earlier one."""
    earlier = {kind for bundle in bundles[:place] for kind in bundle.kinds}
    return frozenset(kind.name for kind in bundles[place].kinds if kind not in earlier)


def _likely(bundle: Bundle) -> float:
    """From which probability on a stage finds a genre likely; 0 where it never does."""
    stated = bundle.thresholds.get("likely", bundle.thresholds.get("confident"))
    return 0.0 if stated is None else float(stated)
