"""What a person reads: sentences that say what was said, why the next stage was asked or not, and what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from music_reclass.classification.policy import Thresholds
from music_reclass.classification.voter import Cascade
from music_reclass.domain import Decision, Outcome, Relation, Track
from music_reclass.errors import SkipTrack
from music_reclass.explain import explanation as way
from music_reclass.explain.attribution import Attribution, Contribution
from music_reclass.explain.evidence import Evidence
from music_reclass.explain.explanation import Explanation, Step
from music_reclass.explain.render import caption, levels, render, title
from music_reclass.models.early_exit import ExitRule
from music_reclass.tagging.policy import Proposal
from music_reclass.taxonomy import load
from tests.classification.fakes import CHEAP, COSTLY, echo_stage, stage, vote

LEAVE = ExitRule(0.88, epsilon=0.02, delta=0.1, count=400, lost=2, exits=0.3)
NEVER = ExitRule(None, why="not certified: 30 independent tracks are too few, 114 are the least for 2.0%")
FIRST, SECOND = stage("cheap", CHEAP, Thresholds(0.85, 0.5, 0.88)), stage("costly", COSTLY)
LADDER = Cascade((FIRST, SECOND), load())
JAZZ, ROCK = vote(0.64, 0.2, 0.16), vote(0.05, 0.04, 0.91)


def explanation(**changes: Any) -> Explanation:
    decision = Decision(Outcome.CONFIDENT, "sure", ("Rock",), 0.91, "cheap", (ROCK,))
    state = Track("/m/tune.flac", 1, 1, duration=95.0, decision=decision, id=1)
    made = Explanation(
        state, LADDER, steps=(Step(ROCK, way.SETTLED, "costly", LEAVE),),
        proposal=Proposal("write", "fill", ("Rock",), Relation.FILL),
    )  # fmt: skip
    return replace(made, **changes)


def text(own: Explanation) -> str:
    return "\n".join(f"{label:<10}{line}" for label, line in render(own))


def passed_on(**changes: Any) -> Explanation:
    """The first stage says Jazz, the second Rock."""
    votes = (JAZZ, replace(ROCK, stage="costly"))
    decision = Decision(Outcome.CONFIDENT, "sure", ("Rock",), 0.91, "costly", votes)
    state = replace(explanation().state, decision=decision)
    first = Step(JAZZ, way.ASKED, "costly", LEAVE, changes.pop("gain", None))
    return explanation(state=state, steps=(first, Step(votes[1], way.LAST)), **changes)


def test_a_settled_track_says_from_where_on_and_what_is_promised() -> None:
    found = text(explanation(steps=(Step(ROCK, way.SETTLED, "costly", LEAVE, 0.011),), usual={"costly": 0.51}))
    assert "0.91 is enough: from 0.88 on, costly is not needed" in found
    assert "asking it takes 0.5 s a track in your scans, it is expected to put right 1 in 100 such tracks" in found
    assert "certified at 90 %: at most 2 % of all tracks lose their right genre by that" in found
    assert "together" not in found


def test_a_certificate_without_labels_promises_agreement_only() -> None:
    own = replace(LEAVE, labels=False, delta=0.05)
    found = text(explanation(steps=(Step(ROCK, way.SETTLED, "costly", own),)))
    assert "certified at 95 %: at most 2 % of all tracks get another genre by that" in found


def test_a_certificate_of_the_library_is_called_so() -> None:
    found = text(explanation(steps=(Step(ROCK, way.SETTLED, "costly", LEAVE, on_library=True),)))
    assert "certified on your library at 90 %" in found


def test_a_track_in_doubt_says_why_the_next_stage_was_asked_and_what_it_took() -> None:
    found = text(passed_on(took={"costly": 0.44}, gain=0.07))
    assert "0.64 is below 0.88, so costly was asked; it took 0.4 s, it was expected to put right 7 in 100" in found
    assert "the second overrules the first: Rock, not Jazz" in found


def test_what_is_just_below_is_shown_to_be_below() -> None:
    near = replace(LEAVE, threshold=0.6401)
    assert "0.6400 is below 0.6401" in text(explanation(steps=(Step(JAZZ, way.NOT_EXTRACTED, "costly", near),)))


def test_seconds_are_those_that_were_measured_or_none() -> None:
    assert "asking it takes 0.5 s a track in your scans" in text(passed_on(usual={"costly": 0.5}))
    line = next(line for line in text(passed_on()).splitlines() if "was asked" in line)
    assert line.endswith("so costly was asked")


def test_a_stage_that_may_never_stop_says_so() -> None:
    found = text(
        explanation(steps=(Step(ROCK, way.ASKED, "costly", NEVER), Step(replace(ROCK, stage="costly"), way.LAST)))
    )
    assert "this is never enough (30 independent tracks are too few" in found
    found = text(explanation(steps=(Step(ROCK, way.ASKED, "costly"), Step(replace(ROCK, stage="costly"), way.LAST))))
    assert "nothing certifies that this is ever enough, so costly was asked" in found


def test_a_stage_that_has_not_listened_names_the_cure_or_the_reason() -> None:
    unheard = explanation(steps=(Step(JAZZ, way.NOT_EXTRACTED, "costly", LEAVE, 0.001),))
    assert "has not voted on it yet (the next scan asks it, or --all-stages)" in text(unheard)
    assert "it is not expected to help with such tracks" in text(unheard)
    assert "costly could not vote: decode: it broke" in text(replace(unheard, missed={"costly": "decode: it broke"}))


def test_an_album_that_settles_it_is_named() -> None:
    found = text(explanation(steps=(Step(JAZZ, way.ALBUM, "costly", LEAVE),)))
    assert "the album as a whole reaches 0.88, so costly was not needed" in found


def test_an_absent_stage_is_named_with_the_cure() -> None:
    why = "the model musicnn is not installed: reclass models download musicnn, or, with the file at hand, more words."
    found = text(explanation(cascade=replace(LADDER, absent={"musicnn": why})))
    assert "musicnn was not asked: the model musicnn is not installed: reclass models download musicnn\n" in found


def test_what_was_asked_beyond_need_does_not_count_and_says_so() -> None:
    found = text(explanation(beyond=(replace(JAZZ, stage="costly"),), took={"costly": 1.26}))
    assert "(costly)  Jazz ██████ 0.64" in found
    assert "asked only because of --all-stages; it does not count (it took 1.3 s)" in found


def push(side: str, without: float, change: float, by_itself: float = 0.0) -> Contribution:
    return Contribution(side, (), without, 0.1, change, by_itself or change)


def test_what_spoke_is_a_sentence_and_a_table() -> None:
    sides = (push("harmony", 0.55, 2.1), push("brightness", 0.95, -0.6, 1.5), push("loudness", 0.91, 0.0))
    found = text(explanation(attribution=Attribution("cheap", "Rock", 0.91, 0.1, sides, ())))
    assert "why       harmony speaks for Rock, brightness against it" in found
    assert "Rock stands at 0.91. If one group of features alone were as in typical music, it would stand at:" in found
    assert "harmony     0.55  +++  which notes sound together" in found
    assert "brightness  0.95  -    how much lies in the treble; by itself it would speak the other way" in found
    assert "little depends on loudness" in found


def test_near_the_ends_three_digits_show_what_two_would_hide() -> None:
    found = text(explanation(attribution=Attribution("cheap", "Rock", 0.984, 0.1, (push("harmony", 0.975, 0.5),), ())))
    assert "Rock stands at 0.984" in found
    assert "harmony  0.975  +" in found


def test_a_model_without_medians_says_that_nothing_is_known() -> None:
    assert "keeps no record of typical music" in text(explanation())


def test_evidence_is_marked_where_it_speaks_for_the_genre() -> None:
    def own(name: str, strength: float, typical: float | None, genres: tuple[str, ...]) -> Evidence:
        return Evidence(f"instrument---{name}", strength, genres, "because", name, "instrument", 0.1, typical)

    heard = (own("guitar", 0.41, 0.1, ("Rock", "Folk")), own("violin", 0.3, None, ("Classical",)))
    found = text(explanation(evidence=heard, attribution=Attribution("cheap", "Rock", 0.91, 0.1, (), ())))
    assert "  guitar  0.41 (0.10)  +  Rock, Folk" in found
    assert "  violin  0.30     Classical" in found


def test_thresholds_say_what_they_promise_or_that_nothing_is_promised() -> None:
    manifest = {"certificates": {"likely": {"certified": True, "precision": 0.75, "delta": 0.1},
                                 "confident": {"certified": False}}}  # fmt: skip
    found = text(
        explanation(
            cascade=Cascade((echo_stage("cheap", (CHEAP,), Thresholds(0.85, 0.5, 0.88), **manifest), SECOND), load())
        )
    )
    assert "likely from 0.50: at least 75 % of such decisions are right (certified at 90 %)" in found
    assert "confident from 0.85 (a cautious value; not certified)" in found
    silent = echo_stage("cheap", (CHEAP,), Thresholds())
    assert "no threshold of this stage is certified" in text(explanation(cascade=Cascade((silent, SECOND), load())))


def test_what_follows_is_said_last() -> None:
    assert text(explanation()).endswith("so        write Rock (the file has no genre)")
    kept = Proposal("keep", "another genre is there", (), Relation.CONFLICT)
    assert text(explanation(proposal=kept)).endswith("so        leave the tag alone (another genre is there)")


def test_a_file_that_could_not_be_read_says_why_and_no_more() -> None:
    state = replace(explanation().state, decision=None, error=SkipTrack("silence", "there is nothing to hear"))
    found = text(explanation(state=state, steps=()))
    assert "skipped   silence: there is nothing to hear" in found
    assert "decision" not in found


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision(Outcome.CONFIDENT, "sure", ("Rock",), 0.91, "cheap", (ROCK,)), "Rock 0.91, confident"),
        (Decision(Outcome.LIKELY, "likely", ("Rock",), 0.7, "costly", (ROCK,)), "Rock 0.70, likely (by costly)"),
        (Decision(Outcome.UNSURE, "doubt", (), 0.4, "cheap", (JAZZ,)), "unsure: Rock 0.91 at best"),
    ],
)
def test_a_picture_has_a_caption(decision: Decision, words: str) -> None:
    own = explanation(state=replace(explanation().state, decision=decision))
    assert caption(own) == words
    assert title(own) == "tune.flac"
    assert levels(own) == ((0.5, "likely from 0.50"), (0.88, "enough from 0.88"))
    never = echo_stage("cheap", (CHEAP,), Thresholds(0.85, 0.5))
    assert levels(explanation(cascade=Cascade((never,), load())))[1] == (0.85, "confident from 0.85")
    none = echo_stage("cheap", (CHEAP,), Thresholds())
    assert levels(explanation(cascade=Cascade((none,), load()))) == ()
