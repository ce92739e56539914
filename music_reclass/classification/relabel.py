"""Decides a whole library again from stored votes and vectors, after a change of taxonomy or rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from music_reclass.classification.voter import Cascade
from music_reclass.domain import CONTENT, Vote
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.scope import Scope
from music_reclass.features.user_decisions import UserDecisions
from music_reclass.models.priors import ClassPrior, prior_of_votes
from music_reclass.taxonomy import Taxonomy

if TYPE_CHECKING:
    from music_reclass.features.database import Database

_MOST = 4000  # tracks from whose votes the prior of a library is estimated


@dataclass(slots=True)
class Relabelled:
    """What became of the library: tracks decided from stored votes, from stored vectors, and with other genres now.

    `changes` counts tracks by their genres before and after; no decision and no genre are the same.
    """

    from_votes: int = 0
    from_vectors: int = 0
    changes: Counter[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=Counter)

    @property
    def decided(self) -> int:
        """All tracks that were decided again."""
        return self.from_votes + self.from_vectors

    @property
    def changed(self) -> int:
        """All tracks with other genres than before."""
        return self.changes.total()


def relabel(database: Database, cascade: Cascade, dry_run: bool = False) -> Relabelled:
    """Decide every track whose decision rests on something else than `cascade` does now, album by album.

    Votes that the cascade's bundles cast are taken as they are, in the words of its taxonomy; where a bundle is
    another one, it votes again on the stored vectors. An uncertain track without the vectors of a later stage is
    decided by those at hand, and taken up again by the next scan. A dry run counts the same and stores nothing.
    """
    library, decisions = Library(database), Decisions(database)
    scope = Scope(database)
    scope.add_all()
    scope.collect_undecided(cascade.basis, cascade.stages[0].kinds[0])
    digests = {stage.name: stage.digest for stage in cascade.voters}
    report = Relabelled()
    for chunk in scope.undecided_by_album():
        tracks = {track.id: track for track in decisions.tracks(chunk)}
        known = {
            track_id: translated(cast, cascade.taxonomy)
            for track_id, cast in decisions.votes_cast_by(digests, chunk).items()
        }
        albums = cascade.albums(tracks)
        votes = cascade.predict(tracks, library, albums, known)
        other = [track_id for track_id in tracks if votes[track_id] != known.get(track_id, ())]
        report.from_vectors += len(other)
        report.from_votes += len(chunk) - len(other)
        concluded = UserDecisions(database).overlaid(cascade.conclude(votes, albums))
        for track_id, decision in concluded.items():
            before = tracks[track_id].decision
            genres = () if before is None else before.genres
            if genres != decision.genres:
                report.changes[genres, decision.genres] += 1
        if dry_run:
            continue
        if other:
            bundles = {s.name: decisions.register_bundle(s.name, s.digest, s.manifest) for s in cascade.voters}
            fresh = cascade.conclude({i: votes[i] for i in other}, ())
            decisions.save(fresh, bundles, "")  # their votes; the decision with the album's opinion follows
        still_open = set(cascade.unfinished(votes, albums))
        decisions.save_without_votes({i: d for i, d in concluded.items() if i in still_open}, "")
        # Stored votes do not say of how many excerpts they are the mean: the next scan votes again.
        basis = "" if cascade.further_windows else cascade.basis
        decisions.save_without_votes({i: d for i, d in concluded.items() if i not in still_open}, basis)
    return report


def library_prior(database: Database, cascade: Cascade) -> ClassPrior:
    """How frequent genres are in the library, by the last stored vote on each track, or on _MOST of them evenly spread.

    NothingToDo where too few tracks have votes of these bundles.
    """
    decisions, digests = Decisions(database), {stage.name: stage.digest for stage in cascade.voters}
    voted = decisions.voted()
    chosen = voted[:: max(1, -(-len(voted) // _MOST))]
    cast = decisions.votes_cast_by(digests, chosen).values()
    last = [translated(votes[-1:], cascade.taxonomy)[0] for votes in cast if votes]
    return prior_of_votes(last, {stage.name: stage.frequency for stage in cascade.stages})


def translated(votes: Sequence[Vote], taxonomy: Taxonomy) -> tuple[Vote, ...]:
    """Votes with genres as `taxonomy` calls them; genres that have become one are added up."""
    return tuple(
        vote if vote.stage in CONTENT else Vote(vote.stage, _merged(vote.probabilities, taxonomy)) for vote in votes
    )


def _merged(probabilities: Mapping[str, float], taxonomy: Taxonomy) -> dict[str, float]:
    shares: dict[str, float] = {}
    for name, share in probabilities.items():
        genre = taxonomy.canonical(name) or name
        shares[genre] = min(1.0, shares.get(genre, 0.0) + share)
    return shares
