"""An audit lets the whole ladder hear some early exits, and is alarmed where more is lost than was promised."""

from dataclasses import replace
from pathlib import Path

import pytest

from music_reclass.classification import exit_audit
from music_reclass.classification.exit_audit import ExitAudit
from music_reclass.domain import Vote
from music_reclass.errors import NothingToDo
from music_reclass.features.decisions import Decisions
from tests.classification.small_library import EXIT, SmallLibrary, Tune, silent, sure


def tunes(early: int, doubtful: int, broken: int, tags: tuple[str, ...] | None = None) -> list[Tune]:
    """`early` tracks that leave as Rock, `broken` of which the dear stage calls Jazz, and `doubtful` others."""
    leaving = [
        Tune(f"/m/e{n:03}", sure("Rock"), sure("Jazz") if n < broken else sure("Rock"), tags) for n in range(early)
    ]
    return leaving + [Tune(f"/m/d{n:03}", sure("Pop", 0.5), sure("Pop")) for n in range(doubtful)]


def run(library: SmallLibrary, share: float = 1.0, most: int | None = None, seed: int = 0) -> ExitAudit:
    drawn = exit_audit.draw(library.database, library.cascade, share, most, seed)
    return exit_audit.audited(library.database, library.cascade, drawn, library.extractor, lambda: False, silent)


def test_exits_that_the_whole_ladder_bears_out_raise_no_alarm(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=40, doubtful=60, broken=0))
    library.decide()

    found = run(library)

    assert (found.tracks, found.early, found.heard, found.alarm) == (100, 40, 40, False)
    (row,) = found.rows
    assert (row.stage, row.how, row.heard, row.other, row.tagged) == ("cheap", "own", 40, 0, 0)
    (judged,) = found.judgements
    assert judged.rate == 0
    assert judged.high == pytest.approx(0.4 * 0.0881, abs=1e-4)  # 1 - 0.025 ** (1 / 40)
    assert "too small to confirm" in judged.sentence()


def test_more_disagreement_than_promised_raises_an_alarm_and_says_how_sure_it_is(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=40, doubtful=60, broken=4))
    library.decide()

    found = run(library)

    assert found.alarm
    (row,), (judged,) = found.rows, found.judgements
    assert (row.other, judged.measure) == (4, "disagreement")
    assert judged.rate == pytest.approx(0.04)  # of all 100 tracks, which is what the promise is about
    assert not judged.sure
    assert "includes the promise" in judged.sentence()

    worse = SmallLibrary(tmp_path / "worse", tunes(early=40, doubtful=60, broken=20))
    worse.decide()
    (judged,) = run(worse).judgements
    assert judged.sure
    assert "does not hold" in judged.sentence()


def test_tags_tell_loss_from_mere_disagreement(tmp_path: Path) -> None:
    """The early genre is right by the tag wherever the two differ: nothing is lost, though much differs."""
    library = SmallLibrary(tmp_path, tunes(early=40, doubtful=60, broken=20, tags=("Shoegaze",)))
    library.decide()

    found = run(library)

    (row,), (judged,) = found.rows, found.judgements
    assert (row.tagged, row.lost, row.won, row.other) == (40, 0, 20, 20)
    assert (judged.measure, judged.rate, found.alarm) == ("loss", 0.0, False)

    lost = SmallLibrary(tmp_path / "lost", tunes(early=40, doubtful=60, broken=20, tags=("Bebop",)))
    lost.decide()
    found = run(lost)
    assert found.rows[0].lost == 20
    assert found.judgements[0].rate == pytest.approx(0.2)
    assert found.alarm


def test_a_promise_of_agreement_is_judged_by_agreement_whatever_the_tags_say(tmp_path: Path) -> None:
    library = SmallLibrary(
        tmp_path, tunes(early=40, doubtful=60, broken=20, tags=("Rock",)), replace(EXIT, labels=False)
    )
    library.decide()

    (judged,) = run(library).judgements

    assert (judged.measure, judged.alarm) == ("disagreement", True)


def test_tracks_in_doubt_that_nobody_could_hear_are_no_exits(tmp_path: Path) -> None:
    deaf = [Tune("/m/deaf", sure("Pop", 0.5), None)]
    library = SmallLibrary(tmp_path, tunes(early=3, doubtful=2, broken=0) + deaf)
    library.decide()

    found = run(library)

    assert (found.early, found.heard) == (3, 3)
    assert library.ids[-1] not in library.extractor.asked[-3:]


def test_a_track_that_left_by_its_album_is_counted_as_such(tmp_path: Path) -> None:
    album = [Tune(f"/m/a{n}", sure("Rock", 0.99 if n else 0.7), sure("Rock"), None, "Ida", "One") for n in range(8)]
    library = SmallLibrary(tmp_path, [*album, Tune("/m/x", sure("Pop", 0.5), sure("Pop"))])
    library.decide()
    assert len(library.extractor.asked) == 1

    found = run(library)

    assert [(row.how, row.heard) for row in found.rows] == [("own", 7), ("album", 1)]


def test_a_sample_is_drawn_by_its_seed_and_no_larger_than_asked(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=100, doubtful=0, broken=0))
    library.decide()

    def draw(share: float, most: int | None, seed: int) -> list[int]:
        drawn = exit_audit.draw(library.database, library.cascade, share, most, seed)
        return [own.track for own in drawn.leavers]

    assert len(draw(0.05, None, 0)) == 5
    assert len(draw(0.5, 3, 0)) == 3
    assert draw(0.05, None, 0) == draw(0.05, None, 0) != draw(0.05, None, 1)


def test_an_audit_changes_no_vote_and_no_decision_and_keeps_what_was_heard(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=5, doubtful=0, broken=5))
    library.decide()
    digests = {stage.name: stage.digest for stage in library.cascade.stages}

    def votes() -> dict[int, tuple[Vote, ...]]:
        return Decisions(library.database).votes_cast_by(digests, library.ids)

    before = votes()
    run(library)
    run(library)

    assert votes() == before
    assert len(library.extractor.asked) == 5
    library.decide()
    assert votes() == before


def test_without_early_exits_there_is_nothing_to_audit(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, tunes(early=3, doubtful=0, broken=0), exit_rule=None)
    library.decide()

    with pytest.raises(NothingToDo, match="nothing to audit"):
        exit_audit.draw(library.database, library.cascade)
