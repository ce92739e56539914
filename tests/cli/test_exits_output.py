"""What `audit-exits` and `calibrate` say, from hand-made findings; and what `--forget` drops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from music_reclass.classification.exit_audit import ExitAudit, ExitCheck, ExitGroup, ExitSample
from music_reclass.cli import exits
from music_reclass.domain import Vote
from music_reclass.features.database import Database
from music_reclass.features.results import LibraryExits
from music_reclass.models.bundle import embedded
from music_reclass.models.early_exit import ExitRule
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell

Said = Callable[[], list[str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """The lines that were printed since the last call, with single blanks."""
    return lambda: [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def sample(drawn: int) -> ExitSample:
    return ExitSample({n: Vote("a", {"Rock": 1.0}) for n in range(drawn)}, 12_000, 8000.4, drawn, 0.02, 0)


def check(rate: float, low: float, high: float) -> ExitCheck:
    return ExitCheck("fma518", "loss", True, 0.02, rate, low, high)


def test_an_audit_that_holds_says_what_was_looked_at_and_nothing_to_mend(said: Said) -> None:
    group = ExitGroup("fma518", False, 2000, 50, 0.019, 0.033, 400, 3, 1)
    exits._show(ExitAudit(sample(2000), 2000, (group,), (check(0.005, 0.002, 0.01),)))
    first, vote, tags, verdict = said()
    assert first == "audit 12,000 tracks, about 8,000 exited early; 2,000 of them audited"
    assert vote == "fma518 by its vote: 50 of 2,000 get another genre from the whole cascade, 2.5% [1.9%, 3.3%]"
    assert tags.startswith("by the tags you gave, 400 of them: 3 were right at the end only, 1 when they exited only")
    assert verdict.startswith("fma518 0.5% of all tracks lose their right genre")
    assert verdict.endswith("It holds")


def test_an_alarm_is_marked_and_followed_by_the_command_that_mends_it(said: Said) -> None:
    exits._show(ExitAudit(sample(10), 10, (), (check(0.09, 0.04, 0.2),)))
    *_, alarm, cure = said()
    assert alarm.startswith("! fma518: 9.0% of all tracks")
    assert "it does not hold here" in alarm
    assert "reclass calibrate --from-library" in cure


def test_tracks_that_not_every_stage_could_read_are_counted(said: Said) -> None:
    exits._show(ExitAudit(sample(10), 7))
    assert said()[1] == "3 more were drawn, and not every stage could read them"


def test_what_the_album_decided_is_said_and_without_tags_there_is_no_line_of_tags(said: Said) -> None:
    exits._show(ExitAudit(sample(4), 4, (ExitGroup("fma518", True, 4, 0, 0.0, 0.6, 0, 0, 0),)))
    assert said()[1:] == ["fma518 by its album: 0 of 4 get another genre from the whole cascade, 0.0% [0.0%, 60.0%]"]


def certified(*rules: ExitRule) -> tuple[Any, dict[str, ExitRule]]:
    """A cascade of one stage more than there are rules, and the rules by digest."""
    names = [f"stage{n}" for n in range(len(rules) + 1)]
    cascade = SimpleNamespace(stages=tuple(SimpleNamespace(name=name, digest=f"digest of {name}") for name in names))
    return cascade, {f"digest of {name}": rule for name, rule in zip(names, rules, strict=False)}


def test_a_certificate_is_shown_with_its_guarantee_and_the_way_back(said: Said) -> None:
    cascade, rules = certified(ExitRule(0.9, 0.02, 0.1, 500, 2, 0.4))
    exits._show_certified(cascade, rules, 500, False)
    certificate, back = said()
    assert certificate == (
        "stage0 exits from 0.90 (40% of tracks): at most 2.0% of all tracks wrong where the whole cascade is right, "
        "with probability 90% (2 of 500 independent tracks)"
    )
    assert "reclass calibrate --forget" in back


def test_too_few_artists_are_said_with_how_many_are_missing(said: Said) -> None:
    cascade, rules = certified(ExitRule(None, 0.02, 0.1, 40, why="40 independent tracks are too few"))
    exits._show_certified(cascade, rules, 43, False)
    left, stage, missing, _ = said()
    assert left == "left out 3 tracks that not every stage could read"
    assert stage == "stage0 never exits: 40 independent tracks are too few"
    assert missing == "74 more artists would be the least, if nothing is lost among them"


def test_forgetting_counts_in_a_dry_run_and_drops_in_a_real_one(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    database = Database(shell.db)
    LibraryExits(database).save({embedded().digest: {"threshold": 0.9, "against": ["x"]}})
    database.close()
    for _ in range(2):
        assert shell("calibrate", "--forget", "--dry-run", "--json") == 0
        assert shell.objects() == [{"forgotten": 0, "would_forget": 1}]
    assert shell("calibrate", "--forget") == 0
    assert shell.out == "forgotten 1 certificate\n"
    assert shell("calibrate", "--forget") == 0
    assert shell.out == "forgotten 0 certificates\n"
    assert shell("calibrate", "--forget", "--dry-run") == 0
    assert shell.out == "forgotten 0 certificates would be (dry run)\n"


@pytest.mark.parametrize(
    "words",
    [
        ["calibrate", "--epsilon", "0"], ["calibrate", "--epsilon", "0.6"], ["calibrate", "--delta", "1"],
        ["calibrate", "--max-tracks", "0"], ["audit-exits", "--share", "1.1"], ["audit-exits", "--max-tracks", "-1"],
        ["calibrate", "--stages", "7"], ["audit-exits", "--stages", "musicnn"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_numbers_and_stages_that_make_no_sense_are_refused(
    words: list[str], library: DecidedLibrary, shell: Shell
) -> None:
    library.add(Tune("a.mp3"))
    assert shell(*words) == 2
    assert shell.out == ""


@pytest.mark.parametrize("words", [["calibrate"], ["calibrate", "--forget"], ["audit-exits"], ["audit-exits", "-n"]])
def test_without_a_library_there_is_nothing_to_do_and_none_is_made(words: list[str], shell: Shell) -> None:
    assert shell(*words) == 3
    assert "There is no library" in shell.err
    assert not shell.db.exists()


def test_fewer_than_thirty_audited_tracks_raise_no_alarm_and_are_said_to_be_few() -> None:
    few = replace(check(0.5, 0.3, 0.7), audited=29)
    assert not few.alarm
    assert not few.significant
    assert "29 tracks audited, and from 30 on an audit says something" in few.sentence()
    assert replace(few, audited=30).alarm
