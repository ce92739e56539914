"""The text of an explanation: votes, why the next stage was asked or not, and what follows."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from music_reclass.classification.policy import Thresholds
from music_reclass.classification.styles import Style
from music_reclass.classification.voter import Cascade
from music_reclass.domain import Decision, Outcome, Relation, Track, Vote
from music_reclass.errors import SkipTrack
from music_reclass.explain.attribution import Attribution, Contribution
from music_reclass.explain.evidence import Evidence
from music_reclass.explain.explanation import ALBUM_EXIT, ASKED, EARLY_EXIT, LAST, NOT_EXTRACTED, Explanation, Step
from music_reclass.explain.render import caption, levels, render, title
from music_reclass.models.early_exit import ExitRule
from music_reclass.tagging.policy import Proposal
from music_reclass.taxonomy import load
from tests.classification.fakes import CHEAP, COSTLY, echo_stage, stage, vote

EXIT = ExitRule(0.88, epsilon=0.02, delta=0.1, count=400, lost=2, exits=0.3)
NEVER = ExitRule(None, why="not certified: 30 independent tracks are too few, 114 are the least for 2.0%")
FIRST, SECOND = stage("cheap", CHEAP, Thresholds(0.85, 0.5, 0.88)), stage("costly", COSTLY)
CASCADE = Cascade((FIRST, SECOND), load())
JAZZ, ROCK = vote(0.64, 0.2, 0.16), vote(0.05, 0.04, 0.91)


def explanation(**changes: Any) -> Explanation:
    decision = Decision(Outcome.CONFIDENT, "sure", ("Rock",), 0.91, "cheap", (ROCK,))
    track = Track("/m/tune.flac", 1, 1, duration=95.0, decision=decision, id=1)
    made = Explanation(
        track, CASCADE, steps=(Step(ROCK, EARLY_EXIT, "costly", EXIT),),
        proposal=Proposal("write", "fill", ("Rock",), Relation.FILL),
    )  # fmt: skip
    return replace(made, **changes)


def text(of: Explanation) -> str:
    return "\n".join(f"{label:<10}{line}" for label, line in render(of))


def uncertain(**changes: Any) -> Explanation:
    """The first stage says Jazz, the second Rock."""
    votes = (JAZZ, replace(ROCK, stage="costly"))
    decision = Decision(Outcome.CONFIDENT, "sure", ("Rock",), 0.91, "costly", votes)
    track = replace(explanation().track, decision=decision)
    first = Step(JAZZ, ASKED, "costly", EXIT, changes.pop("gain", None))
    return explanation(track=track, steps=(first, Step(votes[1], LAST)), **changes)


def test_an_early_exit_names_its_threshold_and_its_certificate() -> None:
    found = text(explanation(steps=(Step(ROCK, EARLY_EXIT, "costly", EXIT, 0.011),), usual_seconds={"costly": 0.51}))
    assert "91 % is enough: from 88 % on, costly is not needed" in found
    assert (
        "asking costly as well (takes 0.5 s a track in your scans, expected to correct 1 of 100 such tracks)" in found
    )
    assert "at most 2 % of all tracks lose their right genre by stopping there (certified with 90 % certainty)" in found
    assert "together" not in found


def test_a_certificate_without_labels_is_about_agreement_only() -> None:
    unlabelled = replace(EXIT, labels=False, delta=0.05)
    found = text(explanation(steps=(Step(ROCK, EARLY_EXIT, "costly", unlabelled),)))
    assert "at most 2 % of all tracks get another genre by stopping there (certified with 95 % certainty)" in found


def test_a_certificate_from_the_library_is_called_so() -> None:
    found = text(explanation(steps=(Step(ROCK, EARLY_EXIT, "costly", EXIT, from_library=True),)))
    assert "(certified on your library, with 90 % certainty)" in found


def test_an_uncertain_track_says_why_the_next_stage_was_asked_and_what_it_took() -> None:
    found = text(uncertain(seconds={"costly": 0.44}, gain=0.07))
    assert (
        "64 % is less than the 88 % needed to stop here, so costly was asked (took 0.4 s, expected to correct 7 of 100 "
        in found
    )
    assert "the second overrules the first: Rock, not Jazz" in found


def test_what_is_just_below_is_shown_to_be_below() -> None:
    near = replace(EXIT, threshold=0.6401)
    assert "64.00 % is less than the 64.01 % needed to stop here" in text(
        explanation(steps=(Step(JAZZ, NOT_EXTRACTED, "costly", near),))
    )


def test_seconds_are_those_that_were_measured_or_none() -> None:
    assert "(takes 0.5 s a track in your scans)" in text(uncertain(usual_seconds={"costly": 0.5}))
    line = next(line for line in text(uncertain()).splitlines() if "was asked" in line)
    assert line.endswith("so costly was asked")


def test_a_stage_without_a_certified_threshold_says_so() -> None:
    found = text(explanation(steps=(Step(ROCK, ASKED, "costly", NEVER), Step(replace(ROCK, stage="costly"), LAST))))
    assert "there is no certified threshold to stop at (30 independent tracks are too few" in found
    found = text(explanation(steps=(Step(ROCK, ASKED, "costly"), Step(replace(ROCK, stage="costly"), LAST))))
    assert "there is no certified threshold to stop at, so costly was asked" in found


def test_a_stage_without_features_names_the_cure_or_the_reason() -> None:
    missing = explanation(steps=(Step(JAZZ, NOT_EXTRACTED, "costly", EXIT, 0.001),))
    assert "costly has no features of it yet (the next scan extracts them, or --all-stages)" in text(missing)
    assert "(not expected to help with such tracks" in text(missing)
    assert "costly failed: decode: it broke" in text(replace(missing, failures={"costly": "decode: it broke"}))


def test_an_album_that_settles_it_is_named() -> None:
    found = text(explanation(steps=(Step(JAZZ, ALBUM_EXIT, "costly", EXIT),)))
    assert "the album as a whole reaches 88 %, so costly was not needed" in found


def test_what_tags_nearby_say_has_its_line() -> None:
    said = Vote("tags", {"Jazz": 0.1, "Pop": 0.2, "Rock": 0.7})
    decision = Decision(Outcome.LIKELY, "tags", ("Rock",), 0.8, "cheap", (ROCK, said))
    found = explanation(track=replace(explanation().track, decision=decision))
    assert "your tags Rock ███████ 70 %" in text(found)
    assert "tags on the artist's other albums" in text(found)
    assert found.as_json()["votes"]["tags"]["Rock"] == 0.7
    assert "your tags" not in text(explanation())


def test_an_absent_stage_is_named_with_the_cure() -> None:
    why = "the model musicnn is not installed: reclass models download musicnn, or, with the file at hand, more words."
    found = text(explanation(cascade=replace(CASCADE, absent={"musicnn": why})))
    assert "musicnn was not asked: the model musicnn is not installed: reclass models download musicnn\n" in found


def test_a_vote_beyond_need_is_said_not_to_count() -> None:
    found = text(explanation(extra_votes=(replace(JAZZ, stage="costly"),), seconds={"costly": 1.26}))
    assert "(costly)  Jazz ██████ 64 %" in found
    assert "asked only because of --all-stages; it does not count (took 1.3 s)" in found


def contribution(group: str, without: float, change: float, by_itself: float = 0.0) -> Contribution:
    return Contribution(group, (), without, 0.1, change, by_itself or change)


def test_the_attribution_is_a_sentence_and_a_table() -> None:
    groups = (
        contribution("harmony", 0.55, 2.1),
        contribution("brightness", 0.95, -0.6, 1.5),
        contribution("loudness", 0.91, 0.0),
    )
    found = text(explanation(attribution=Attribution("cheap", "Rock", 0.91, 0.1, groups, ())))
    assert "why       harmony points to Rock, brightness against it" in found
    assert "Rock has 91 %. If one of these were as in typical music, it would have:" in found
    assert "harmony      55 %  +++  which notes sound together" in found
    assert "brightness   95 %  -    how much lies in the treble; alone it would point the other way" in found
    assert "hardly matters: loudness" in found


def test_tags_that_count_are_told_apart_from_those_that_are_shown_for_comparison() -> None:
    shown = (Evidence("Jazz", "jazz", "genre", ("Jazz",), "because", 0.1, 0.0, 0.4),)
    counted = Attribution(
        "cheap", "Jazz", 0.91, 0.1, (), (), contribution("tags that name Jazz", 0.3, 3.2), (("Jazz", 0.4),)
    )
    found = text(explanation(attribution=counted, evidence=shown))
    assert "the tags that name Jazz (Jazz 0.40) speak for it: as in typical music, it would have 30 %" in found
    assert "recognized in the sound: strength" in found
    against = replace(counted, tags=contribution("tags that name Jazz", 0.97, -1.2), strongest=())
    found = text(explanation(attribution=against, evidence=shown))
    assert "the tags that name Jazz (hardly there) speak against it: as in typical music, it would have 97 %" in found
    found = text(explanation(attribution=replace(counted, tags=None), evidence=shown))
    assert "recognized in the sound, shown for comparison: strength" in found
    assert "speak" not in found


def test_near_the_ends_a_decimal_shows_what_none_would_hide() -> None:
    found = text(
        explanation(attribution=Attribution("cheap", "Rock", 0.984, 0.1, (contribution("harmony", 0.975, 0.5),), ()))
    )
    assert "Rock has 98.4 %" in found
    assert "harmony  97.5 %  +" in found


def test_a_model_without_medians_says_that_the_reasons_are_unknown() -> None:
    assert "does not keep the typical values to compare with" in text(explanation())


def test_tags_are_marked_where_they_support_the_genre() -> None:
    def tag(name: str, strength: float, typical: float | None, genres: tuple[str, ...]) -> Evidence:
        return Evidence(f"instrument---{name}", name, "instrument", genres, "because", 0.1, typical, strength)

    tags = (tag("guitar", 0.41, 0.1, ("Rock", "Folk")), tag("violin", 0.3, None, ("Classical",)))
    found = text(explanation(evidence=tags, attribution=Attribution("cheap", "Rock", 0.91, 0.1, (), ())))
    assert "  guitar  0.41 (0.10)  +  Rock, Folk" in found
    assert "  violin  0.30     Classical" in found


def test_thresholds_say_what_is_certified_about_them() -> None:
    manifest = {"certificates": {"likely": {"certified": True, "precision": 0.75, "delta": 0.1},
                                 "confident": {"certified": False}}}  # fmt: skip
    found = text(
        explanation(
            cascade=Cascade((echo_stage("cheap", (CHEAP,), Thresholds(0.85, 0.5, 0.88), **manifest), SECOND), load())
        )
    )
    assert "likely from 50 %: at least 75 % of such decisions are right (certified with 90 % certainty)" in found
    assert "never confident: what it says from 85 % on is not certified" in found
    silent = echo_stage("cheap", (CHEAP,), Thresholds())
    assert "no threshold of this stage is certified" in text(explanation(cascade=Cascade((silent, SECOND), load())))


def test_what_follows_is_said_last() -> None:
    assert text(explanation()).endswith("so        write Rock (the file has no genre)")
    kept = Proposal("keep", "another genre is there", (), Relation.CONFLICT)
    assert text(explanation(proposal=kept)).endswith("so        leave the tag alone (another genre is there)")


def test_a_file_without_features_says_why_and_no_more() -> None:
    track = replace(explanation().track, decision=None, error=SkipTrack("silence", "there is no sound"))
    found = text(explanation(track=track, steps=()))
    assert "skipped   silence: there is no sound" in found
    assert "decision" not in found


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision(Outcome.CONFIDENT, "sure", ("Rock",), 0.91, "cheap", (ROCK,)), "Rock 91 %, confident"),
        (Decision(Outcome.LIKELY, "likely", ("Rock",), 0.7, "costly", (ROCK,)), "Rock 70 %, likely (by costly)"),
        (Decision(Outcome.UNSURE, "doubt", (), 0.4, "cheap", (JAZZ,)), "unsure: Rock 91 % at best"),
    ],
)
def test_a_picture_has_a_caption(decision: Decision, words: str) -> None:
    made = explanation(track=replace(explanation().track, decision=decision))
    assert caption(made) == words
    assert title(made) == "tune.flac"
    assert levels(made) == ((0.5, "likely from 50 %"), (0.88, "enough from 88 %"))
    never = echo_stage("cheap", (CHEAP,), Thresholds(0.85, 0.5))
    assert levels(explanation(cascade=Cascade((never,), load())))[1] == (0.85, "confident from 85 %")
    none = echo_stage("cheap", (CHEAP,), Thresholds())
    assert levels(explanation(cascade=Cascade((none,), load()))) == ()


def test_genres_below_one_percent_are_not_shown() -> None:
    found = text(explanation(steps=(Step(vote(0.003, 0.06, 0.937), LAST),)))
    assert "Rock █████████ 94 %  Pop █ 6 %\n" in found


def test_styles_are_shown_with_their_strength_and_what_the_library_says_of_them() -> None:
    sure = Style("Metal", "Heavy metal", "efficientat-tags", 0.41, 0.2, 0.83, 44)
    guess = Style("Punk", "Punk rock", "efficientat-tags", 0.3)
    found = text(explanation(styles=(sure, guess)))
    assert (
        "finer     Metal 0.41 by efficientat-tags: at least 83 % of such tracks are right (44 artists of yours)"
        in found
    )
    assert "          Punk 0.30 by efficientat-tags: not calibrated on this library" in found
    assert "finer" not in text(explanation())
    shown = explanation(styles=(sure, guess)).as_json()["styles"]
    assert [(one["genre"], one["certified"], one["precision"]) for one in shown] == [
        ("Metal", True, 0.83),
        ("Punk", False, None),
    ]


def test_a_picture_of_a_file_whose_name_is_no_utf8_has_a_title_that_can_be_drawn() -> None:
    track = replace(explanation().track, path=os.fsdecode(b"/music/\xff\x1b[2J.mp3"))
    found = title(explanation(track=track))
    assert found == "\\udcff\\x1b[2J.mp3"
    assert found.isprintable()


def test_what_is_no_music_is_named_and_has_no_genre() -> None:
    sound = Vote("content", {"music": 0.1, "speech": 0.7, "tone": 0.2})
    decision = Decision(Outcome.SKIPPED, "not_music", (), 0.9, "content", (sound,))
    found = explanation(track=replace(explanation().track, decision=decision), steps=(), proposal=None)
    assert "none, it is no music: speech (90 %)" in text(found)
    assert caption(found) == "no music: speech 90 %"
