"""The ladder: cheap stages first, dear ones only for tracks in doubt, then the albums have their say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from music_reclass.classification.albums import CORRELATION, MIN_TRACKS, TaggedTrack, albums, consensus
from music_reclass.classification.policy import SECOND_GENRE_SHARE, Thresholds, decide, may_leave
from music_reclass.classification.stages import FeatureSource, Stage, StageBundle
from music_reclass.domain import Decision, Vote
from music_reclass.errors import BundleError
from music_reclass.taxonomy import Taxonomy
from music_reclass.training import exits
from music_reclass.training.exits import Exit

Votes = tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class Ladder:
    """Stages from cheap to dear. A ladder without stages is allowed: then nothing is ever decided."""

    stages: tuple[Stage, ...]
    taxonomy: Taxonomy
    max_genres: int = 1
    by_album: bool = True  # whether the tracks of an album vote together
    absent: Mapping[str, str] = field(default_factory=dict)  # stages that cannot listen here, and why

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise BundleError(f"Two bundles are for the same stage ({', '.join(names)}); install one of them only.")

    @classmethod
    def from_bundles(
        cls,
        bundles: Iterable[StageBundle],
        taxonomy: Taxonomy,
        max_genres: int = 1,
        by_album: bool = True,
        own_exits: Mapping[str, Sequence[Exit]] | None = None,
        absent: Mapping[str, str] | None = None,
    ) -> Ladder:
        """The ladder of these bundles, in their order; BundleError if one does not fit the taxonomy.

        A stage exits by the certificate that was made with just these later stages behind it: one of `own_exits`
        (the user's own, by the digest of the stage's bundle), else one of its bundle. Without one it never does.
        """
        rungs = list(bundles)
        stages = []
        for place, bundle in enumerate(rungs):
            later = [other.digest for other in rungs[place + 1 :]]
            leave = None
            if later:
                own = exits.fitting((own_exits or {}).get(bundle.digest, ()), later)
                leave = own or exits.fitting(exits.of_manifest(bundle.manifest), later)
            stages.append(Stage.from_bundle(bundle, taxonomy, leave))
        return cls(tuple(stages), taxonomy, max_genres, by_album, absent or {})

    @property
    def basis(self) -> str:
        """Digest of all that a decision rests on besides the vectors; another one means: decide again."""
        rests_on = {
            "stages": [
                [stage.name, stage.digest, limits.likely, limits.confident, limits.exit]
                for stage, limits in ((stage, stage.thresholds) for stage in self.stages)
            ],
            "taxonomy": self.taxonomy.digest,
            "rules": [self.by_album, self.max_genres, SECOND_GENRE_SHARE, MIN_TRACKS, CORRELATION],
        }
        return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()

    @property
    def thresholds(self) -> dict[str, Thresholds]:
        """The thresholds of each stage by its name."""
        return {stage.name: stage.thresholds for stage in self.stages}

    def climb(
        self,
        tracks: Mapping[int, TaggedTrack],
        source: FeatureSource,
        votes: Mapping[int, Sequence[Vote]] | None = None,
    ) -> dict[int, Votes]:
        """Every track's votes in the order of the stages, as far as `source` has vectors; () where it has none.

        A stage is asked about the tracks in doubt only. `votes` that are known already are taken as they are, unless
        the track leaves the ladder before that stage.
        """
        found: dict[int, Votes] = dict.fromkeys(sorted(tracks), ())
        for position, stage in enumerate(self.stages):
            asked = self.in_doubt(tracks, found, position)
            known = {i: vote for i in asked for vote in (votes or {}).get(i, ()) if vote.stage == stage.name}
            fresh = stage.votes([track_id for track_id in asked if track_id not in known], source)
            for track_id, vote in (known | fresh).items():
                found[track_id] += (vote,)
        return found

    def in_doubt(
        self, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]], position: int
    ) -> list[int]:
        """The tracks about which the stage at `position` is to be asked and has not voted yet, in ascending order.

        A track leaves the ladder at an earlier stage by its own vote or by its album's (`policy.may_leave`); an
        album's opinion at a stage is made of the votes up to that stage, so it does not depend on what was asked since.
        """
        names = [stage.name for stage in self.stages]
        thresholds = self.thresholds
        staying = sorted(tracks)
        for place in range(1, position + 1):
            known = {i: [vote for vote in votes.get(i, ()) if vote.stage in names[:place]] for i in tracks}
            opinions = self._opinions_of_albums(tracks, known) if self.by_album else {}
            staying = [i for i in staying if not may_leave(known[i], thresholds, opinions.get(i))]
        return [i for i in staying if all(vote.stage != names[position] for vote in votes.get(i, ()))]

    def unfinished(self, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]]) -> list[int]:
        """The tracks that a later stage is to be asked about and that the last one has not voted for."""
        return self.in_doubt(tracks, votes, len(self.stages) - 1) if len(self.stages) > 1 else []

    def decide(self, tracks: Mapping[int, TaggedTrack], source: FeatureSource) -> dict[int, Decision]:
        """One decision a track, in the order of `tracks`; tracks of one album must come in one call."""
        return self.conclude(tracks, self.climb(tracks, source))

    def conclude(self, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]]) -> dict[int, Decision]:
        """Decisions from votes that are known already: new thresholds or a new taxonomy need no audio."""
        opinions = self._opinions_of_albums(tracks, votes) if self.by_album else {}
        thresholds = self.thresholds
        return {
            track_id: decide(
                votes.get(track_id, ()), thresholds, self.taxonomy, opinions.get(track_id), self.max_genres
            )
            for track_id in tracks
        }

    def _opinions_of_albums(
        self, tracks: Mapping[int, TaggedTrack], votes: Mapping[int, Sequence[Vote]]
    ) -> dict[int, Vote]:
        """The album's vote for each track of an album that has one; a track speaks by its last vote."""
        voters = {track_id: track for track_id, track in tracks.items() if votes.get(track_id)}
        opinions: dict[int, Vote] = {}
        for members in albums(voters):
            opinion = consensus([votes[track_id][-1] for track_id in members])
            if opinion is not None:
                opinions.update(dict.fromkeys(members, opinion))
        return opinions
