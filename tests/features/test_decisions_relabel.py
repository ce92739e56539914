"""Stored votes are given back only where the cascade's bundles cast all of them; decisions change, votes stay."""

from pathlib import Path

import numpy as np

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, Vote
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library

KIND = FeatureKind("k", "1", 1, "mid30")


def test_votes_of_the_cascades_bundles_come_in_its_order(tmp_path: Path) -> None:
    database = Database(tmp_path / "l.sqlite3")
    readings = [Track(f"/m/{n}", 1, 1, bytes([n]), 9.0, vector=np.zeros(1, dtype=np.float32)) for n in range(2)]
    first, second = Library(database).save(readings, KIND)
    decisions = Decisions(database)
    bundles = {name: decisions.register_bundle(name, f"digest of {name}", {}) for name in ("a", "b")}
    votes = (Vote("b", {"Rock": 1.0}), Vote("a", {"Jazz": 1.0}))
    decided = Decision(Outcome.LIKELY, "likely", ("Rock",), 0.7, "b", votes)
    decisions.save({first: decided}, bundles, "basis")

    found = decisions.votes_cast_by({"a": "digest of a", "b": "digest of b"}, [first, second])
    assert {track: [vote.stage for vote in votes] for track, votes in found.items()} == {first: ["a", "b"]}
    assert not decisions.votes_cast_by({"a": "digest of a", "b": "another"}, [first])
    assert not decisions.votes_cast_by({"a": "digest of a"}, [first])

    other = Decision(Outcome.CONFIDENT, "sure", ("Jazz",), 0.9, "a", votes)
    decisions.save_without_votes({first: other}, "new basis")
    (state,) = decisions.tracks([first])
    assert state.decision is not None
    assert state.decision.genres == ("Jazz",)
    assert {vote.stage for vote in state.decision.votes} == {"a", "b"}
