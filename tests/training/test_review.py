"""Answers are asked for where they teach most: unsure tracks, one of each kind before a second of any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library, best_kind
from music_reclass.training.review import directions, informative_order, review_order, uncertainty

FMA, BETTER = FeatureKind("fma518", "1", 8, "mid30"), FeatureKind("efficientat", "1-ab", 8, "mid30")


def clusters(count: int, each: int, seed: int = 0) -> np.ndarray:
    """Rows around `count` far corners, `each` of every one."""
    generator = np.random.default_rng(seed)
    corners = np.repeat(np.eye(8, dtype=np.float32)[:count] * 10, each, axis=0)
    return np.asarray(corners + generator.normal(0, 0.3, corners.shape), dtype=np.float32)


def test_every_cluster_is_asked_about_once_before_any_is_twice() -> None:
    rows = directions(clusters(5, 10))
    order = informative_order(rows, np.full(50, 0.5, np.float32), rows[:0], 5)
    assert {place // 10 for place in order} == {0, 1, 2, 3, 4}


def test_what_was_answered_already_is_not_asked_again_and_the_unsure_come_first() -> None:
    rows = directions(clusters(4, 10))
    uncertain = np.repeat(np.array([0.1, 0.9, 0.5, 0.9], np.float32), 10)
    assert [place // 10 for place in informative_order(rows, uncertain, rows[10:13], 2)] == [3, 2]
    everything = informative_order(rows, uncertain, rows[:0], 99)
    assert sorted(everything) == list(range(40))


def test_the_greedy_choice_is_that_of_the_plain_definition() -> None:
    generator = np.random.default_rng(3)
    rows = directions(generator.normal(size=(40, 8)).astype(np.float32))
    uncertain = generator.random(40).astype(np.float32)
    alike = np.clip(rows @ rows.T, 0, 1)
    covered, wanted = np.zeros(40), []
    for _ in range(10):
        gains = [(uncertain * np.maximum(alike[n] - covered, 0)).sum() for n in range(40)]
        wanted.append(int(np.argmax([-1 if n in wanted else gain for n, gain in enumerate(gains)])))
        covered = np.maximum(covered, alike[wanted[-1]])
    assert informative_order(rows, uncertain, rows[:0], 10) == wanted


def test_uncertainty_is_one_less_the_margin() -> None:
    assert uncertainty(Vote("fma518", {"Rock": 0.7, "Jazz": 0.3})) == pytest.approx(0.6)
    assert uncertainty(Vote("fma518", {"Rock": 1.0})) == 0.0


def test_a_library_is_asked_about_without_what_was_decided_skipped_or_lies_elsewhere(tmp_path: Path) -> None:
    database = Database(tmp_path / "l.sqlite3")
    assert review_order(database, 5) == []
    rows = clusters(4, 3)
    tracks = [
        Track(f"/m/{place % 2}/{place}", 1, 1, bytes([place]), 9.0, TrackTags(artist=f"a{place}"), (), row)
        for place, row in enumerate(rows)
    ]
    ids = Library(database).save(tracks, FMA)
    decisions = Decisions(database)
    bundle = decisions.register_bundle("b", "d", {})
    votes = (Vote("fma518", {"Rock": 0.6, "Jazz": 0.4}),)
    unsure = Decision(Outcome.UNSURE, "doubt", (), 0.6, "fma518", votes)
    decisions.save(dict.fromkeys(ids[:-1], unsure), {"fma518": bundle}, "basis")
    decisions.save({ids[-1]: Decision(Outcome.SKIPPED, "not_music", votes=votes)}, {"fma518": bundle}, "basis")
    assert set(review_order(database, 99)) == set(ids[:-1])
    assert set(review_order(database, 99, ["/m/0"])) == set(ids[::2])
    decisions.decide(decisions.tracks(ids[:3]), ["Jazz"], "decide", scope="track")
    decisions.decide(decisions.tracks(ids[3:4]), None, "decide", scope="track")
    order = review_order(database, 99)
    assert set(order) == set(ids[4:-1])
    assert ids.index(order[0]) >= 3  # the first cluster was answered


def test_the_best_kind_is_the_latest_that_nearly_all_have(tmp_path: Path) -> None:
    database = Database(tmp_path / "l.sqlite3")
    assert best_kind(database) is None
    tracks = [Track(f"/m/{n}", 1, 1, bytes([n]), vector=np.ones(8, np.float32)) for n in range(20)]
    ids = Library(database).save(tracks, FMA)
    Library(database).add_vectors(dict.fromkeys(ids[:17], np.ones(8, np.float32)), BETTER)
    assert best_kind(database) == FMA
    Library(database).add_vectors(dict.fromkeys(ids[:18], np.ones(8, np.float32)), BETTER)
    assert best_kind(database) == BETTER
