"""Whatever is planned, staged, confirmed, abandoned and undone, the journal says what stands and what is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.features.database import Database
from music_reclass.features.journal import Change, DamagedChange, Intention, Journal
from music_reclass.features.library import Library

STEPS = ["plan", "stage", "confirm", "abandon", "undo", "settle", "new run", "write", "take back"]
WHOLE = {"write": ["plan", "stage", "confirm"], "take back": ["undo", "stage", "confirm"]}
"""Steps that follow one another where nothing goes wrong."""


def intention(path: str, undoes: int | None = None) -> Intention:
    return Intention(path, "mpeg", ("Rock",), ("Jazz",), (("TCON", b"Rock"),), path + ".tmp", b"p", b"b", 1, undoes)


def stage(journal: Journal, change: int) -> None:
    journal.stage(change, payload=b"p", sha_before=b"b", sha_after=b"a", size_after=9, patch=b"patch")


class Model:
    """What must be true of a journal, kept in dictionaries."""

    def __init__(self) -> None:
        self.states: dict[int, str] = {}
        self.paths: dict[int, str] = {}
        self.undoes: dict[int, int | None] = {}
        self.runs: dict[int, int] = {}

    def those(self, *states: str) -> list[int]:
        return [change for change, state in self.states.items() if state in states]

    def standing(self) -> list[int]:
        return [change for change in self.those("written") if self.undoes[change] is None]


def replay(journal: Journal, history: list[tuple[str, int]]) -> Model:
    """Take each step that makes sense, as `tagging` takes it, in the journal and in the model."""
    model, run = Model(), journal.begin_run("apply", {})
    single_steps = [(part, number) for step, number in history for part in WHOLE.get(step, [step])]
    for step, number in single_steps:

        def pick(candidates: list[int], number: int = number) -> int | None:
            return candidates[number % len(candidates)] if candidates else None

        target: int | None = None
        if step == "new run":
            run = journal.begin_run("apply", {})
        elif step == "plan" or (step == "undo" and (target := pick(model.standing())) is not None):
            path = f"/m/{number % 3}" if target is None else model.paths[target]
            change = journal.plan(run, intention(path, target))
            model.states[change], model.paths[change] = "planned", path
            model.undoes[change], model.runs[change] = target, run
        elif step == "stage" and (target := pick(model.those("planned"))) is not None:
            stage(journal, target)
            model.states[target] = "staged"
        elif step == "confirm" and (target := pick(model.those("staged"))) is not None:
            journal.confirm(target, 2)
            model.states[target] = "written"
            if (undone := model.undoes[target]) is not None:
                model.states[undone] = "undone"
        elif step == "abandon" and (target := pick(model.those("planned", "staged"))) is not None:
            journal.abandon(target, "no space")
            model.states[target] = "abandoned"
        elif step == "settle" and (target := pick(model.standing())) is not None:
            journal.mark_undone(target, "restored from a backup")
            model.states[target] = "undone"
    return model


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11)), max_size=40))
def test_the_journal_knows_what_stands_after_any_history(history: list[tuple[str, int]]) -> None:
    journal = Journal(Database(Path(":memory:")))
    model = replay(journal, history)

    changes = {number: journal.change(number) for number in model.states}
    assert {number: change.state for number, change in changes.items() if isinstance(change, Change)} == model.states
    assert [change.id for change in journal.open_changes()] == model.those("planned", "staged")
    standing = model.standing()
    for path in ("/m/0", "/m/1", "/m/2"):
        assert journal.stands_written(path) == (path in [model.paths[change] for change in standing])
    undoable = [model.runs[change] for change in (*standing, *model.those("staged")) if model.undoes[change] is None]
    assert journal.last_undoable_run() == max(undoable, default=None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11)), max_size=30))
def test_the_changes_of_all_runs_are_all_changes_each_once(history: list[tuple[str, int]]) -> None:
    journal = Journal(Database(Path(":memory:")))
    model = replay(journal, history)
    by_run = {
        run.id: [change.id for change in journal.changes_of(run.id, newest_first=False)] for run in journal.runs()
    }
    assert sorted(change for changes in by_run.values() for change in changes) == sorted(model.states)
    for run in journal.runs():
        states = [model.states[change] for change in by_run[run.id]]
        assert (run.written, run.undone) == (states.count("written"), states.count("undone"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11)), max_size=30))
def test_an_open_change_keeps_its_temporary_file_and_a_settled_one_names_none(history: list[tuple[str, int]]) -> None:
    journal = Journal(Database(Path(":memory:")))
    model = replay(journal, history)
    for number, state in model.states.items():
        change = journal.change(number)
        assert isinstance(change, Change)
        assert (change.intention.temporary != "") == (state in ("planned", "staged"))
        if state == "abandoned":
            assert change.patch is None
        elif state == "written":
            assert (change.patch, change.mtime_after) == (b"patch", 2)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(Database(tmp_path / "library.sqlite3", durable=True))
    yield journal
    journal.database.close()


def test_an_undo_that_was_abandoned_leaves_the_change_standing(journal: Journal) -> None:
    run = journal.begin_run("apply", {})
    first = journal.plan(run, intention("/m/0"))
    stage(journal, first)
    journal.confirm(first, 1)
    second = journal.plan(journal.begin_run("undo", {}), intention("/m/0", first))
    stage(journal, second)
    journal.abandon(second, "the file is in use")
    assert journal.stands_written("/m/0")
    assert journal.last_undoable_run() == run


def test_a_journal_that_is_opened_again_tells_the_same(journal: Journal, tmp_path: Path) -> None:
    first = journal.plan(journal.begin_run("apply", {"yes": True}), intention("/m/\udcff"))
    stage(journal, first)
    again = Journal(Database(tmp_path / "library.sqlite3", durable=True))
    assert again.change(first) == journal.change(first)
    assert again.runs() == journal.runs()
    again.confirm(first, 1)
    assert journal.stands_written("/m/\udcff")
    again.database.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [("raw_before", '[["TCON", "not base64!"]]'), ("before", '"Rock"'), ("after", "[1, 2]"), ("after", "{")],
)
def test_a_damaged_row_is_named_with_its_file(journal: Journal, column: str, value: str) -> None:
    number = journal.plan(journal.begin_run("apply", {}), intention("/m/0"))
    journal.database.connection.execute(f"UPDATE change SET {column} = ? WHERE id = ?", (value, number))  # noqa: S608
    damaged = journal.change(number)
    assert isinstance(damaged, DamagedChange)
    assert (damaged.id, damaged.path) == (number, "/m/0")
    assert damaged.why.startswith(f"row {number} of the journal is damaged")
    assert Library(journal.database).written_by_us() == 0


def test_arguments_that_json_does_not_know_are_kept_as_text(journal: Journal) -> None:
    run = journal.begin_run("scan", {"config": Path("/etc/reclass.toml")})
    journal.finish_run(run, {"written": 0})
    assert journal.runs()[0].arguments == {"config": "/etc/reclass.toml"}
    finished = journal.runs()[0].finished
    assert finished is not None
    assert finished >= journal.runs()[0].started
