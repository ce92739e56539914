"""An audit runs some early exits through the whole cascade, and warns where more is lost than guaranteed."""

from dataclasses import replace
from pathlib import Path

import pytest

from music_reclass.classification import exit_audit
from music_reclass.classification.exit_audit import ExitAudit
from music_reclass.domain import Vote
from music_reclass.errors import NothingToDo
from music_reclass.features.decisions import Decisions
from tests.classification.small_library import EXIT, SmallLibrary, Tune, silent, sure


def tunes(early: int, uncertain: int, broken: int, tags: tuple[str, ...] | None = None) -> list[Tune]:
    """`early` tracks that exit as Rock, `broken` of which the costly stage calls Jazz, and `uncertain` others."""
    exiting = [
        Tune(f"/m/e{n:03}", sure("Rock"), sure("Jazz") if n < broken else sure("Rock"), tags) for n in range(early)
    ]
    return exiting + [Tune(f"/m/d{n:03}", sure("Pop", 0.5), sure("Pop")) for n in range(uncertain)]


def run(library: SmallLibrary, share: float = 1.0, most: int | None = None, seed: int = 0) -> ExitAudit:
    drawn = exit_audit.draw(library.database, library.cascade, share=share, most=most, seed=seed)
    return exit_audit.audit(library.database, library.cascade, drawn, library.runner, bar=silent)


def test_exits_that_agree_with_the_whole_cascade_raise_no_alarm(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=40, uncertain=60, broken=0))
    library.decide()

    found = run(library)

    assert (found.sample.tracks, found.sample.early, found.audited, found.alarm) == (100, 40, 40, False)
    (group,) = found.groups
    assert (group.stage, group.by_album, group.audited, group.different, group.tagged) == ("cheap", False, 40, 0, 0)
    (check,) = found.checks
    assert check.rate == 0
    assert check.high == pytest.approx(0.4 * 0.0881, abs=1e-4)  # 1 - 0.025 ** (1 / 40)
    assert "too small to confirm" in check.sentence()


def test_more_disagreement_than_guaranteed_raises_an_alarm_and_says_how_significant_it_is(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=40, uncertain=60, broken=4))
    library.decide()

    found = run(library)

    assert found.alarm
    (group,), (check,) = found.groups, found.checks
    assert (group.different, check.measure) == (4, "disagreement")
    assert check.rate == pytest.approx(0.04)  # of all 100 tracks, which is what the guarantee is about
    assert not check.significant
    assert "includes the guarantee" in check.sentence()

    worse = SmallLibrary(tmp_path / "worse", tunes(early=40, uncertain=60, broken=20))
    worse.decide()
    (check,) = run(worse).checks
    assert check.significant
    assert "does not hold" in check.sentence()


def test_tags_separate_loss_from_mere_disagreement(tmp_path: Path) -> None:
    """The early genre is right by the tag wherever the two differ: nothing is lost, though much differs."""
    library = SmallLibrary(tmp_path, tunes(early=40, uncertain=60, broken=20, tags=("Shoegaze",)))
    library.decide()

    found = run(library)

    (group,), (check,) = found.groups, found.checks
    assert (group.tagged, group.lost, group.won, group.different) == (40, 0, 20, 20)
    assert (check.measure, check.rate, found.alarm) == ("loss", 0.0, False)

    lost = SmallLibrary(tmp_path / "lost", tunes(early=40, uncertain=60, broken=20, tags=("Bebop",)))
    lost.decide()
    found = run(lost)
    assert found.groups[0].lost == 20
    assert found.checks[0].rate == pytest.approx(0.2)
    assert found.alarm


def test_a_guarantee_of_agreement_is_checked_by_agreement_whatever_the_tags_say(tmp_path: Path) -> None:
    library = SmallLibrary(
        tmp_path, tunes(early=40, uncertain=60, broken=20, tags=("Rock",)), replace(EXIT, labels=False)
    )
    library.decide()

    (check,) = run(library).checks

    assert (check.measure, check.alarm) == ("disagreement", True)


def test_uncertain_tracks_whose_extraction_failed_are_no_exits(tmp_path: Path) -> None:
    failing = [Tune("/m/failing", sure("Pop", 0.5), None)]
    library = SmallLibrary(tmp_path, tunes(early=3, uncertain=2, broken=0) + failing)
    library.decide()

    found = run(library)

    assert (found.sample.early, found.audited) == (3, 3)
    assert library.ids[-1] not in library.runner.asked[-3:]


def test_a_track_that_exited_by_its_album_is_counted_as_such(tmp_path: Path) -> None:
    album = [Tune(f"/m/a{n}", sure("Rock", 0.99 if n else 0.7), sure("Rock"), None, "Ida", "One") for n in range(8)]
    library = SmallLibrary(tmp_path, [*album, Tune("/m/x", sure("Pop", 0.5), sure("Pop"))])
    library.decide()
    assert len(library.runner.asked) == 1

    found = run(library)

    assert [(group.by_album, group.audited) for group in found.groups] == [(False, 7), (True, 1)]


def test_a_sample_is_drawn_by_its_seed_and_no_larger_than_asked(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=100, uncertain=0, broken=0))
    library.decide()

    def draw(share: float, most: int | None, seed: int) -> list[int]:
        drawn = exit_audit.draw(library.database, library.cascade, share=share, most=most, seed=seed)
        return list(drawn.exits)

    assert len(draw(0.05, None, 0)) == 5
    assert len(draw(0.5, 3, 0)) == 3
    assert draw(0.05, None, 0) == draw(0.05, None, 0) != draw(0.05, None, 1)


def test_an_audit_changes_no_vote_and_no_decision_and_keeps_the_vectors(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=5, uncertain=0, broken=5))
    library.decide()
    digests = {stage.name: stage.digest for stage in library.cascade.stages}

    def votes() -> dict[int, tuple[Vote, ...]]:
        return Decisions(library.database).votes_cast_by(digests, library.ids)

    before = votes()
    run(library)
    run(library)

    assert votes() == before
    assert len(library.runner.asked) == 5
    library.decide()
    assert votes() == before


def test_without_early_exits_there_is_nothing_to_audit(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=3, uncertain=0, broken=0), exit_rule=None)
    library.decide()

    with pytest.raises(NothingToDo, match="nothing to audit"):
        exit_audit.draw(library.database, library.cascade)


def test_a_sample_is_drawn_from_a_read_only_library(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=3, uncertain=1, broken=0))
    library.decide()
    library.database.connection.execute("PRAGMA query_only = ON")

    drawn = exit_audit.draw(library.database, library.cascade, share=1.0)

    assert sorted(drawn.exits) == library.ids[:3]
