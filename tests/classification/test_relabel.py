"""A library is decided again from its stored votes: other words, other rules, and never a look at the audio."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification.escalate import Escalation
from music_reclass.classification.relabel import library_prior, relabel, translated
from music_reclass.classification.voter import Cascade
from music_reclass.domain import Track, TrackTags, Vote
from music_reclass.errors import NothingToDo
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.scope import Scope
from music_reclass.models import bundle as bundles
from music_reclass.models.priors import ClassPrior
from music_reclass.taxonomy import load


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Forty tracks with vectors, ten albums, decided by the embedded bundle; no file exists."""
    database = Database(tmp_path / "library.sqlite3")
    first = bundles.embedded()
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(40, first.dimension)).astype(np.float32)
    readings = [
        Track(f"/m/{n}.mp3", 1, 1, bytes([n]), 9.0, TrackTags(None, album=f"a{n // 4}"), (), row)
        for n, row in enumerate(rows)
    ]
    scope = Scope(database)
    scope.add(Library(database).save(readings, first.kinds[0]))
    Escalation(database, scope, Cascade.from_bundles([first], load())).run()
    return database


def genres(database: Database) -> dict[str, tuple[str, ...]]:
    return {state.path: state.decision.genres for state in Decisions(database).below() if state.decision}


def probable(database: Database) -> dict[str, dict[str, float]]:
    return {
        state.path: dict(state.decision.votes[0].probabilities)
        for state in Decisions(database).below()
        if state.decision
    }


def test_nothing_is_done_where_nothing_changed(database: Database) -> None:
    report = relabel(database, Cascade.from_bundles([bundles.embedded()], load()))

    assert report.decided == 0


def test_other_words_give_other_genres_from_the_same_votes(database: Database, tmp_path: Path) -> None:
    before, votes = genres(database), probable(database)
    assert any(before.values())
    shown = next(own[0] for own in before.values() if own)
    file = tmp_path / "taxonomy.toml"
    file.write_text(f'[output]\n"{shown}" = "Zydeco Noir"\n')

    report = relabel(database, Cascade.from_bundles([bundles.embedded()], load(file)))

    assert (report.decided, report.from_vectors) == (40, 0)
    after = genres(database)
    assert report.changed == sum(before[path] != after[path] for path in before) > 0
    assert {own[0] for path, own in after.items() if before[path] and before[path][0] == shown} == {"Zydeco Noir"}
    assert probable(database) == votes


def test_it_ends_where_deciding_anew_would_end(database: Database, tmp_path: Path) -> None:
    cascade = Cascade.from_bundles([bundles.embedded()], load(), max_genres=2, by_album=False)
    relabel(database, cascade)
    from_votes = genres(database)
    scope = Scope(database)
    scope.add(range(1, 41))
    database.connection.execute("UPDATE decision SET basis = 'old'")
    Escalation(database, scope, cascade).run()

    assert genres(database) == from_votes


def test_votes_of_another_bundle_are_cast_again_from_stored_vectors(database: Database) -> None:
    database.connection.execute("UPDATE bundle SET digest = 'another'")
    before = genres(database)

    report = relabel(database, Cascade.from_bundles([bundles.embedded()], load(), max_genres=2))

    assert (report.from_votes, report.from_vectors) == (0, 40)
    assert {path: own[:1] for path, own in genres(database).items()} == {p: own[:1] for p, own in before.items()}
    again = relabel(database, Cascade.from_bundles([bundles.embedded()], load()))
    assert (again.from_votes, again.from_vectors) == (40, 0)


def test_a_track_that_a_later_stage_should_hear_is_left_for_the_next_scan(database: Database) -> None:
    first = replace(bundles.embedded(), thresholds={"confident": 1.0, "likely": 0.5})
    second = replace(first, stage="later", kinds=(replace(first.kinds[0], name="later"),))
    cascade = Cascade.from_bundles([first, second], load())

    relabel(database, cascade)

    scope = Scope(database)
    scope.add(range(1, 41))
    assert scope.collect_undecided(cascade.basis, first.kinds[0]) == 40
    assert any(genres(database).values())


def test_genres_that_have_become_one_are_added_up() -> None:
    (vote,) = translated([Vote("s", {"Hip Hop": 0.25, "Hip-Hop": 0.5, "Rock": 0.25})], load())

    assert vote.probabilities == {"Hip-Hop": 0.75, "Rock": 0.25}


def contents(database: Database) -> list[str]:
    """Everything that the library file holds, as SQL."""
    return list(database.connection.iterdump())


@pytest.mark.parametrize("cast_by", ["the same bundle", "another"])
def test_a_dry_run_tells_what_would_change_and_stores_nothing(database: Database, tmp_path: Path, cast_by: str) -> None:
    if cast_by == "another":
        database.connection.execute("UPDATE bundle SET digest = 'another'")
    shown = next(own[0] for own in genres(database).values() if own)
    file = tmp_path / "taxonomy.toml"
    file.write_text(f'[output]\n"{shown}" = "Zydeco Noir"\n')
    cascade = Cascade.from_bundles([bundles.embedded()], load(file))
    before, content = genres(database), contents(database)

    rehearsed = relabel(database, cascade, dry_run=True)

    assert contents(database) == content
    done = relabel(database, cascade)
    assert (rehearsed.decided, rehearsed.changes) == (done.decided, done.changes)
    after = genres(database)
    changes = [(before[path], after[path]) for path in before if before[path] != after[path]]
    assert changes
    assert sorted(done.changes.elements()) == sorted(changes)


def test_genres_of_another_bundle_count_as_changed(database: Database) -> None:
    """Its own votes are stored first, and must not be what the new genres are compared with."""
    database.connection.execute("UPDATE bundle SET digest = 'another'")
    database.connection.execute("""UPDATE decision SET genres = '["Polka"]'""")

    report = relabel(database, Cascade.from_bundles([bundles.embedded()], load(), max_genres=2))

    assert report.changed == 40
    assert {before for before, _ in report.changes} == {("Polka",)}


def test_a_prior_changes_decisions_and_the_basis_and_no_stored_vote(database: Database) -> None:
    plain = Cascade.from_bundles([bundles.embedded()], load(), by_album=False)
    relabel(database, plain)
    before, votes = genres(database), probable(database)
    cascade = replace(plain, prior=ClassPrior({"Jazz": 0.97}))
    assert cascade.basis != plain.basis
    report = relabel(database, cascade)
    assert report.from_votes == 40
    assert probable(database) == votes
    after = genres(database)
    assert sum(own == ("Jazz",) for own in after.values()) > sum(own == ("Jazz",) for own in before.values())
    relabel(database, plain)
    assert genres(database) == before  # the votes were not touched, so nothing counts twice


def test_the_prior_of_a_library_comes_from_its_stored_votes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    cascade = Cascade.from_bundles([bundles.embedded()], load())
    with pytest.raises(NothingToDo, match="the votes on 40 tracks; 200 are the least"):
        library_prior(database, cascade)
    monkeypatch.setattr("music_reclass.models.priors.FEWEST", 30)
    found = library_prior(database, cascade)
    assert found.tracks == 40
    assert set(found.shares) == set(bundles.embedded().labels)
    relabel(database, replace(cascade, prior=found))
    assert library_prior(database, cascade) == found  # decisions by a prior leave the votes as they are
