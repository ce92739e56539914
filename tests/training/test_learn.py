"""What a library teaches: who is sampled, what is learned, and what pure noise changes, which is nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import FeatureKind, Vote
from music_reclass.errors import NothingToDo
from music_reclass.features.database import Database
from music_reclass.features.journal import Intention, Journal
from music_reclass.features.library import Library
from music_reclass.features.user_decisions import UserDecisions
from music_reclass.models.bundle import Bundle
from music_reclass.models.dataset import Dataset, Table, fma518
from music_reclass.taxonomy import load
from music_reclass.training import learn as training
from music_reclass.training.learn import Comparison, draw, learn, read_sample, stages_at_hand
from music_reclass.training.tag_weights import learn_tag_weights
from tests.taught import Tagging, fill, foreign_bundle, quick_networks, tags_for
from tests.training.making import learnable

TAXONOMY = load()
KIND = fma518("mid30")
GENRES = ("Jazz", "Pop", "Metal", "Blues")


@pytest.fixture(scope="module")
def base() -> Bundle:
    """A model of Blues, Jazz, Pop and Rock that was trained on music which sounds otherwise."""
    return foreign_bundle(("Rock", "Blues", "Jazz", "Pop"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_networks(monkeypatch)


def library(folder: Path, how: Tagging, count: int = 280) -> Database:
    """Seventy artists with four tracks each, whose genre shows in their vectors."""
    rows, true = learnable(count, GENRES)
    order = np.argsort(true, kind="stable")
    labels = np.array([[name == genre for genre in GENRES] for name in true])[order]
    groups = np.arange(count) // 4
    tags = tags_for(labels, GENRES, groups, TAXONOMY, how)
    return fill(folder / "library.sqlite3", {KIND: rows[order]}, tags, groups)


def taught(database: Database, base: Bundle) -> training.Lesson:
    drawn = draw(database, KIND, TAXONOMY)
    return learn(read_sample(database, drawn.tracks, [base], TAXONOMY), [base], TAXONOMY)


def test_tags_that_hold_up_teach_more_than_the_model_at_hand_knows(tmp_path: Path, base: Bundle) -> None:
    lesson = taught(library(tmp_path, Tagging(parents=0.0)), base)
    assert lesson.comparison.is_better
    assert lesson.comparison.gain.low > 0.05
    assert lesson.new == ("Metal",)
    assert lesson.kept == ("Rock",)
    assert lesson.left_out > 0
    (learned,) = lesson.bundles
    assert learned.stage == "fma518"
    assert set(learned.labels) == {*GENRES, "Rock"}
    rows, true = learnable(80, GENRES, seed=9)
    found = [learned.labels[place] for place in learned.predict_proba(rows).argmax(axis=1)]
    assert np.mean([name == genre for name, genre in zip(found, true, strict=True)]) > 0.8


def test_pure_noise_changes_nothing_even_where_the_commonest_tag_would_be_right_more_often(
    tmp_path: Path, base: Bundle
) -> None:
    rows, _ = learnable(280, GENRES)
    generator = np.random.default_rng(3)
    tags = generator.choice(["Metal", "Jazz", "Pop"], 280, p=[0.6, 0.2, 0.2]).tolist()
    database = fill(tmp_path / "library.sqlite3", {KIND: rows}, tags, np.arange(280) // 4)
    found = taught(database, base).comparison
    assert found.gain.value > 0  # who always says Metal is right more often
    assert not found.is_better


def test_what_reclass_wrote_and_junk_are_never_learned_from(tmp_path: Path) -> None:
    database = library(tmp_path, Tagging())
    stored = Library(database)
    tracks = list(stored.tracks_with(KIND, tagged_by_user=True))
    journal = Journal(Database(database.path, durable=True))
    run = journal.begin_run("scan", {})
    for track in tracks[:30]:
        assert track.digest is not None
        genres = track.tags.genres or ()
        change = journal.plan(run, Intention(track.path, "flac", (), genres, (), "", track.digest, b"", 1))
        journal.confirm(change, 1)
    junk = [replace(track, tags=replace(track.tags, genres=("Other",))) for track in tracks[30:50]]
    stored.save(junk, KIND)
    drawn = draw(database, KIND, TAXONOMY)
    assert drawn.tagged == len(tracks) - 50
    assert not set(drawn.tracks) & {track.id for track in tracks[:50]}


def test_what_the_user_decided_counts_in_place_of_tags_and_without_any(tmp_path: Path, base: Bundle) -> None:
    database = library(tmp_path, Tagging(parents=0.0))
    stored = Library(database)
    tracks = list(stored.tracks_with(KIND, tagged_by_user=True))
    junk = [replace(track, tags=replace(track.tags, genres=None)) for track in tracks[:4]]
    stored.save(junk, KIND)
    assert draw(database, KIND, TAXONOMY).tagged == len(tracks) - 4
    decisions = UserDecisions(database)
    decisions.set("artist", "artist0", ("Metal",), "edit")
    decisions.set("track", (tracks[9].digest or b"").hex(), ("Metal",), "edit")
    decisions.set("artist", "artist1", None, "edit")  # left alone: its tags stay
    drawn = draw(database, KIND, TAXONOMY)
    assert drawn.tagged == len(tracks)
    data = read_sample(database, drawn.tracks, [base], TAXONOMY)
    assert len(data) == len(tracks)
    is_metal = dict(zip(data.names, data.table.labels[:, data.table.classes.index("Metal")], strict=True))
    assert all(is_metal[track.path] for track in (*tracks[:4], tracks[9]))
    votes = [Vote("fma518", {"Blues": 0.5, "Jazz": 0.5})] * len(data)
    assert learn_tag_weights(database, data, votes, TAXONOMY) is not None


def test_a_sample_holds_every_genre_and_as_many_artists_as_it_can(tmp_path: Path) -> None:
    count = 3000
    generator = np.random.default_rng(0)
    tags = ["Ska" if n < 50 else "Rock" if n < 2500 else "Jazz" for n in range(count)]
    groups = np.where(np.arange(count) % 3 == 0, 0, np.arange(count) // 10 + 1)
    rows = generator.normal(size=(count, KIND.dimension)).astype(np.float32)
    database = fill(tmp_path / "library.sqlite3", {KIND: rows}, tags, groups)
    drawn = draw(database, KIND, TAXONOMY, most=600)
    assert drawn.tagged == count
    assert 550 < len(drawn.tracks) < 700
    assert drawn.genres["Ska"] == 40  # ten would be its share
    assert drawn.genres["Jazz"] == 100
    assert drawn.artists == len(np.unique(groups))
    genre = {track.id: track.tags.genres for track in Library(database).tracks(drawn.tracks)}
    begun = [genre[track] for track in drawn.tracks[:60]]  # where --max-time ends the extraction, it is as mixed
    assert 3 <= begun.count(("Ska",)) <= 5
    assert 9 <= begun.count(("Jazz",)) <= 11
    again = draw(database, KIND, TAXONOMY, most=600)
    assert again.tracks == drawn.tracks
    below = draw(database, KIND, TAXONOMY, below=lambda path: "/Artist 0/" not in path)
    assert below.artists == drawn.artists - 1


def test_too_few_tagged_tracks_are_refused_with_the_number_that_is_needed(tmp_path: Path) -> None:
    database = library(tmp_path, Tagging(parents=0.0), 60)
    with pytest.raises(
        NothingToDo, match=r"at least 200 tracks by 20 artists.*Tracks here: 60; artists: 15; genres: 4"
    ):
        draw(database, KIND, TAXONOMY)


def test_a_stage_that_few_tracks_have_features_for_is_left_out(tmp_path: Path, base: Bundle) -> None:
    database = library(tmp_path, Tagging(), 600)
    drawn = draw(database, KIND, TAXONOMY)
    late = FeatureKind("late", "1", 3, "mid30")

    @dataclass(frozen=True)
    class Needs:
        kinds: tuple[FeatureKind, ...]

    stages = [Needs((KIND,)), Needs((KIND, late))]
    Library(database).add_vectors({track: np.zeros(3, np.float32) for track in drawn.tracks[:250]}, late)
    assert stages_at_hand(database, drawn.tracks, stages) == (1, drawn.tracks)  # type: ignore[arg-type]
    Library(database).add_vectors({track: np.zeros(3, np.float32) for track in drawn.tracks[:400]}, late)
    assert stages_at_hand(database, drawn.tracks, stages) == (2, drawn.tracks[:400])  # type: ignore[arg-type]


def test_two_stages_are_learned_together_and_the_first_names_the_second_in_its_exit_rule(tmp_path: Path) -> None:
    rows, true = learnable(240, GENRES)
    late = FeatureKind("musicnn", "1", 4, "full")
    shown = np.array([[2.0 * (name == genre) for genre in GENRES] for name in true], dtype=np.float32)
    shown += np.random.default_rng(0).normal(size=shown.shape).astype(np.float32)
    groups = np.random.default_rng(1).permutation(240) // 4
    database = fill(tmp_path / "library.sqlite3", {KIND: rows, late: shown}, list(true), groups)
    bases = [foreign_bundle(("Rock", "Blues", "Jazz", "Pop")), foreign_bundle(("Rock", "Blues", "Jazz", "Pop"), late)]
    data = read_sample(database, draw(database, KIND, TAXONOMY).tracks, bases, TAXONOMY)
    lesson = learn(data, bases, TAXONOMY)
    assert [bundle.stage for bundle in lesson.bundles] == ["fma518", "musicnn"]
    assert lesson.bundles[0].manifest["exits"][0]["against"] == [lesson.bundles[1].digest]
    assert lesson.comparison.is_better


def test_a_gain_counts_only_where_the_music_shows_it() -> None:
    low = training.Interval(0.1, -0.05, 0.2)
    sure = training.Interval(0.1, 0.05, 0.2)
    assert Comparison(sure, sure, gain=sure, exact=low, information=sure).is_better
    assert Comparison(sure, sure, gain=low, exact=sure, information=sure).is_better
    assert not Comparison(sure, sure, gain=low, exact=low, information=sure).is_better
    assert not Comparison(sure, sure, gain=sure, exact=sure, information=low).is_better


def test_a_genre_that_the_models_at_hand_decide_better_stays_with_them_unless_all_is_lost_by_it(
    tmp_path: Path, base: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = library(tmp_path, Tagging(parents=0.0))
    monkeypatch.setattr(training, "_is_lost", lambda genre, *votes: genre == "Jazz")
    knows_jazz = foreign_bundle(("Jazz", "Rock", "Pop", "Blues"))
    lesson = taught(database, knows_jazz)
    assert lesson.comparison.is_better
    assert lesson.lost == ("Jazz",)
    assert lesson.genres == tuple(name for name in TAXONOMY.labels if name in ("Blues", "Metal", "Pop"))
    without = taught(database, base)  # it is wrong about Jazz
    assert without.comparison.is_better
    assert without.lost == ()
    assert "Jazz" in without.genres


def test_a_genre_is_lost_only_beyond_chance_and_wrong_answers_count_too() -> None:
    labels = np.eye(2, dtype=bool)[np.arange(200) % 2]
    table = Table(("a",), np.zeros((200, 1), np.float32), ("Blues", "Jazz"), labels, np.arange(200), np.full(200, ""))
    judged = Dataset("judged", table, KIND, np.full(200, ""), tuple(map(str, range(200))))

    def votes(right: float) -> list[Vote]:
        generator = np.random.default_rng(0)
        hit = generator.random(200) < right
        blues = np.where(hit, labels[:, 0], ~labels[:, 0])
        return [Vote("a", {"Blues": 0.9 if one else 0.1, "Jazz": 0.1 if one else 0.9}) for one in blues]

    always = [Vote("b", {"Blues": 0.9, "Jazz": 0.1})] * 200  # its recall of Blues is perfect
    assert training._is_lost("Blues", judged, votes(0.9), votes(0.6))
    assert training._is_lost("Blues", judged, votes(0.9), always)
    assert not training._is_lost("Blues", judged, votes(0.6), votes(0.9))
    assert not training._is_lost("Blues", judged, votes(0.8), votes(0.79))


def test_wrong_tags_do_not_hide_what_the_music_tells_and_random_tags_never_seem_to_be_told() -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(4, dtype=bool)[generator.integers(0, 4, 400)]
    table = Table(("a",), np.zeros((400, 1), np.float32), GENRES, labels, np.arange(400), np.full(400, ""))
    judged = Dataset("judged", table, KIND, np.full(400, ""), tuple(map(str, range(400))))

    def votes(places: np.ndarray) -> list[Vote]:
        """Votes that are all but certain."""
        return [
            Vote("a", {name: 1 - 3e-9 if n == place else 1e-9 for n, name in enumerate(GENRES)}) for place in places
        ]

    right = labels.argmax(axis=1)
    wrong = np.where(generator.random(400) < 0.2, generator.integers(0, 4, 400), right)
    told = training.compare(judged, votes(np.zeros(400, int)), votes(wrong), TAXONOMY)
    assert told.information.low > 0.2
    random = training.compare(judged, votes(np.zeros(400, int)), votes(generator.permutation(right)), TAXONOMY)
    assert random.information.low < 0


def test_a_large_sample_is_judged_on_a_part_that_is_held_out(
    tmp_path: Path, base: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("music_reclass.models.crossval.LARGE", 400)
    lesson = taught(library(tmp_path, Tagging(parents=0.0, wrong=0.05), 800), base)
    assert lesson.rows == 800
    assert len(lesson.judged) == len(lesson.votes) == 80
    assert lesson.comparison.is_better
