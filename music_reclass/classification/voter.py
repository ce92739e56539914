"""The ladder: cheap stages first, dear ones only for tracks in doubt, then the albums have their say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from music_reclass.classification.albums import CORRELATION, MIN_TRACKS, TaggedTrack, albums, consensus
from music_reclass.classification.policy import SECOND_GENRE_SHARE, Thresholds, decide, is_settled
from music_reclass.classification.stages import FeatureSource, Stage, StageBundle
from music_reclass.domain import Decision, Vote
from music_reclass.errors import BundleError
from music_reclass.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Ladder:
    """Stages from cheap to dear. A ladder without stages is allowed: then nothing is ever decided."""

    stages: tuple[Stage, ...]
    taxonomy: Taxonomy
    max_genres: int = 1
    by_album: bool = True  # whether the tracks of an album vote together

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise BundleError(f"Two bundles are for the same stage ({', '.join(names)}); install one of them only.")

    @classmethod
    def from_bundles(
        cls, bundles: Iterable[StageBundle], taxonomy: Taxonomy, max_genres: int = 1, by_album: bool = True
    ) -> Ladder:
        """The ladder of these bundles, in their order; BundleError if one does not fit the taxonomy."""
        stages = tuple(Stage.from_bundle(bundle, taxonomy) for bundle in bundles)
        return cls(stages, taxonomy, max_genres, by_album)

    @property
    def basis(self) -> str:
        """Digest of all that a decision rests on besides the vectors; another one means: decide again."""
        rests_on = {
            "stages": [
                [stage.name, stage.digest, stage.thresholds.likely, stage.thresholds.confident] for stage in self.stages
            ],
            "taxonomy": self.taxonomy.digest,
            "rules": [self.by_album, self.max_genres, SECOND_GENRE_SHARE, MIN_TRACKS, CORRELATION],
        }
        return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()

    @property
    def thresholds(self) -> dict[str, Thresholds]:
        """The thresholds of each stage by its name."""
        return {stage.name: stage.thresholds for stage in self.stages}

    def climb(self, track_ids: Iterable[int], source: FeatureSource) -> dict[int, tuple[Vote, ...]]:
        """Every track's votes in the order of the stages; () where none had its vectors."""
        votes: dict[int, tuple[Vote, ...]] = dict.fromkeys(sorted(set(track_ids)), ())
        thresholds = self.thresholds
        in_doubt = list(votes)
        for stage in self.stages:
            for track_id, vote in stage.votes(in_doubt, source).items():
                votes[track_id] += (vote,)
            in_doubt = [track_id for track_id in in_doubt if not is_settled(votes[track_id], thresholds)]
        return votes

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
