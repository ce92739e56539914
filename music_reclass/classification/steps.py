"""One track's way up the ladder: what each stage said, and why the next one was asked or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.domain import Vote
from music_reclass.training import exits

if TYPE_CHECKING:
    from music_reclass.classification.albums import TaggedTrack
    from music_reclass.classification.stages import Stage
    from music_reclass.classification.voter import Ladder
    from music_reclass.training.exits import Exit

ASKED = "asked"  # the next stage was asked
SETTLED = "settled"  # the vote reached the certified exit: the next stage was not needed
ALBUM = "album"  # the album reached it
UNHEARD = "unheard"  # the next stage was to be asked, and has no vector of this track
LAST = "last"  # there is no next stage here

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage said of a track, and what came `after`: ASKED, SETTLED, ALBUM, UNHEARD or LAST.

    `certificate` is that of the exit behind this stage, if there is one, and `own` says that it was made on the user's
    library; `gain` is how much likelier right the final genre was expected to become by asking `following`, None where
    nobody measured it.
    """

    vote: Vote
    after: str
    following: str = ""
    certificate: Exit | None = None
    gain: float | None = None
    own: bool = False

    @property
    def threshold(self) -> float | None:
        """The probability from which the next stage is not needed; None: never."""
        return None if self.certificate is None else self.certificate.threshold


def steps(
    ladder: Ladder, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]], track_id: int
) -> tuple[Step, ...]:
    """The steps of `track_id` among its album's `tracks`; `votes` as `ladder.climb` gives them."""
    found = []
    cast = {vote.stage: vote for vote in votes.get(track_id, ())}
    for position, stage in enumerate(ladder.stages):
        vote = cast.get(stage.name)
        if vote is None:
            continue
        following = ladder.stages[position + 1] if position + 1 < len(ladder.stages) else None
        if following is None:
            found.append(Step(vote, LAST))
            continue
        if following.name in cast:
            after = ASKED
        elif track_id in ladder.in_doubt(tracks, votes, position + 1):
            after = UNHEARD
        else:
            after = SETTLED if vote.confidence >= stage.thresholds.exit else ALBUM
        own_exit = stage.leave is not None and stage.leave not in exits.of_manifest(stage.manifest)
        found.append(Step(vote, after, following.name, stage.leave, _gain(stage, vote), own_exit))
    return tuple(found)


def agreement(votes: Sequence[Vote]) -> str:
    """How the stages' first genres stand to each other, in words; empty for fewer than two votes."""
    if len(votes) < 2:
        return ""
    *earlier, last = votes
    agreeing = [place for place, vote in enumerate(earlier) if vote.genre == last.genre]
    others = [place for place in range(len(earlier)) if place not in agreeing]
    if not others:
        everyone = "both stages say" if len(votes) == 2 else f"all {_count(len(votes))} stages say"
        return f"{everyone} {last.genre}"
    name = _ORDINALS[len(earlier)]
    overruled = _joined([f"the {_ORDINALS[place]}" for place in others])
    genres = _joined(list(dict.fromkeys(earlier[place].genre for place in others)), "or")
    if not agreeing:
        return f"the {name} overrules {overruled}: {last.genre}, not {genres}"
    side = _joined([f"the {_ORDINALS[place]}" for place in agreeing])
    return f"the {name} says {last.genre} like {side}; {overruled} said {genres}"


def limit(threshold: float) -> float | None:
    """A threshold for JSON: null means never."""
    return threshold if math.isfinite(threshold) else None


def _gain(stage: Stage, vote: Vote) -> float | None:
    return stage.worth(vote) if stage.leave is not None and stage.leave.gain else None


def _count(number: int) -> str:
    return ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")[number]


def _joined(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
