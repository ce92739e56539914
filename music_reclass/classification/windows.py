"""A track's first-stage votes over time: the same stage asked about one window of the file after another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import SkipTrack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from music_reclass.classification.stages import Stage
    from music_reclass.domain import FeatureKind, Vector, Vote

JUDGED = 30.0  # seconds of the excerpt that decides
_SHORTEST_FILE = 45.0  # below this no two windows of 30 s would differ much
_SHORT_WINDOW, _SHORT_STEP = 10.0, 2.5
_LEAST_STEP = 5.0
MOST = 24


@dataclass(frozen=True, slots=True)
class Course:
    """The votes of one stage over a file, and the sound of the excerpt that decides.

    `starts` are the seconds at which the windows of `length` seconds begin; a silent window has no vote. `judged`:
    begin and end of the excerpt, seconds; `samples`, mono float32 at `rate` Hz, are its sound. `illustration` says
    that the windows are shorter than what the stage was trained on.
    """

    stage: str
    starts: tuple[float, ...]
    length: float
    votes: tuple[Vote | None, ...]
    duration: float
    judged: tuple[float, float]
    samples: NDArray[np.float32]
    rate: int

    @property
    def illustration(self) -> bool:
        """Whether the windows are too short to be taken at their word."""
        return self.length < JUDGED


def windows(duration: float) -> tuple[float, tuple[float, ...]]:
    """The length of the windows and the seconds at which they begin, for a file of `duration` seconds.

    Windows of 30 s, at most 24 of them; of 10 s for files below 45 s.
    """
    short = duration < _SHORTEST_FILE
    length = min(_SHORT_WINDOW, duration) if short else JUDGED
    room = duration - length
    step = max(_SHORT_STEP if short else _LEAST_STEP, room / (MOST - 1))
    count = 1 + int(room / step + 1e-6)
    first = (room - (count - 1) * step) / 2
    return length, tuple(first + number * step for number in range(count))


def course(path: Path, stage: Stage) -> Course:
    """The course of the file at `path` by `stage`, which needs one kind of vector; raises TrackError.

    Of files longer than an hour the middle hour is taken.
    """
    from music_reclass.extractors import audio
    from music_reclass.extractors.registry import extractor

    (kind,) = stage.kinds
    made = extractor(kind.name, kind.excerpt)
    stage.require(made.kind)
    clip = audio.load(path, "full", made.rate)
    audio.check_usable(clip)
    seconds = len(clip.samples) / clip.rate
    skipped = max(0.0, (clip.duration - seconds) / 2)
    length, starts = windows(seconds)
    vectors: dict[int, Vector] = {}
    for number, start in enumerate(starts):
        first = round(start * clip.rate)
        piece = clip.samples[first : first + round(length * clip.rate)]
        try:
            audio.check_usable(audio.Clip(piece, clip.rate, length, clip.rate, 1, ""))
        except SkipTrack:
            continue
        vectors[number] = made.vector(piece)
    votes = stage.votes(vectors, _Windows(vectors))
    begin = max(0.0, (seconds - JUDGED) / 2)
    end = min(seconds, begin + JUDGED)
    return Course(
        stage.name,
        tuple(skipped + start for start in starts),
        length,
        tuple(votes.get(number) for number in range(len(starts))),
        clip.duration,
        (skipped + begin, skipped + end),
        clip.samples[round(begin * clip.rate) : round(end * clip.rate)],
        clip.rate,
    )


@dataclass(frozen=True, slots=True)
class _Windows:
    """A feature source over the windows' vectors by their number."""

    vectors_of: dict[int, Vector]

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, Vector]:
        return {number: self.vectors_of[number] for number in track_ids if number in self.vectors_of}
