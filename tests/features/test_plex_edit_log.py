"""What was done on servers is written down before, settled after, and found again."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.features.plex import ABANDONED, UNDONE, WRITTEN, FieldEdit, PlexChange, PlexJournal


@pytest.fixture
def journal(tmp_path: Path) -> PlexJournal:
    return PlexJournal(Database(tmp_path / "library.sqlite3", durable=True))


@pytest.fixture
def change(journal: PlexJournal) -> PlexChange:
    server = journal.server("machine-1", "Attic")
    run = Journal(journal.database).begin_run("plex sync", {})
    return PlexChange(
        run, server.id, 5, "track", 301, "plex://x", "/a/1.mp3", "Ada - Tune",
        FieldEdit("genre", ("Folk",), ("Folk", "Jazz"), False, True),
    )  # fmt: skip


def test_a_change_comes_back_as_it_went_in(journal: PlexJournal, change: PlexChange) -> None:
    (number,) = journal.plan([change])
    assert journal.of_run(change.run_id) == [replace(change, id=number)]
    assert journal.open_changes(change.server_id) == [replace(change, id=number)]
    journal.settle([(number, WRITTEN, "a note")])
    assert journal.open_changes(change.server_id) == []
    assert journal.of_run(change.run_id) == [replace(change, id=number, state=WRITTEN, note="a note")]


def test_servers_are_known_by_machine_and_keep_their_map(journal: PlexJournal) -> None:
    first = journal.server("machine-1", "Attic")
    journal.remember_mapping(first.id, {"/data": "/home/me/Müsic"})
    again = journal.server("machine-1", "Cellar")
    assert (again.id, again.name, dict(again.mapping)) == (first.id, "Cellar", {"/data": "/home/me/Müsic"})
    assert journal.known_server("machine-2") is None
    assert journal.server("machine-2", "Other").id != first.id


def test_tags_stay_ours_over_several_runs_until_they_are_taken_back(journal: PlexJournal, change: PlexChange) -> None:
    again = FieldEdit("genre", ("Folk", "Jazz"), ("Folk", "Jazz", "Blues"), True, True)
    one, two = journal.plan([change, replace(change, edit=again)])
    assert journal.edits_of(change.server_id, [301]) == {}
    journal.settle([(one, WRITTEN, ""), (two, WRITTEN, "")])
    assert journal.edits_of(change.server_id, [301, 302])[301]["genre"] == replace(again, before=("Folk",))
    journal.settle([(two, UNDONE, "")])
    assert journal.edits_of(change.server_id, [301])[301]["genre"] == change.edit
    journal.settle([(one, ABANDONED, "")])
    assert journal.edits_of(change.server_id, [301]) == {}


def test_locks_that_we_left_are_found(journal: PlexJournal, change: PlexChange) -> None:
    ids = journal.plan(
        [
            change,
            replace(change, rating_key=302, edit=replace(change.edit, lock_after=False)),
            replace(change, section=6),
        ]
    )
    journal.settle([(number, WRITTEN, "") for number in ids])
    assert journal.locks_we_left(change.server_id, 5) == {301: [change.edit]}


def test_runs_are_counted_by_items(journal: PlexJournal, change: PlexChange) -> None:
    assert journal.last_standing_run() is None
    ids = journal.plan(
        [change, replace(change, edit=replace(change.edit, field="label")), replace(change, rating_key=302)]
    )
    journal.settle([(ids[0], WRITTEN, ""), (ids[1], WRITTEN, ""), (ids[2], UNDONE, "")])
    assert journal.standing() == {change.run_id: (1, 1)}
    assert journal.last_standing_run() == change.run_id
    assert journal.machine_of_run(change.run_id) == ("machine-1", "Attic")
    assert journal.machine_of_run(99) is None


TAGS = st.lists(st.sampled_from(["Folk", "Jazz", "Rock", "Blues"]), max_size=3, unique=True).map(tuple)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TAGS, TAGS, st.sampled_from([WRITTEN, UNDONE, ABANDONED])), min_size=1, max_size=6))
def test_whatever_the_history_a_tag_is_ours_if_an_edit_that_stands_added_it(
    history: list[tuple[tuple[str, ...], tuple[str, ...], str]],
) -> None:
    journal = PlexJournal(Database(Path(":memory:")))
    server = journal.server("machine-1", "Attic")
    run = Journal(journal.database).begin_run("plex sync", {})
    for before, after, state in history:
        edit = FieldEdit("genre", before, after, False, True)
        (number,) = journal.plan([PlexChange(run, server.id, 5, "track", 301, "g", "", "Tune", edit)])
        journal.settle([(number, state, "")])
    standing = [(before, after) for before, after, state in history if state == WRITTEN]
    found = journal.edits_of(server.id, [301])
    if not standing:
        assert found == {}
        return
    ours: set[str] = set()
    for before, after in standing:
        ours = {tag for tag in after if tag in ours or tag not in before}
    merged = found[301]["genre"]
    assert merged.after == standing[-1][1]
    assert set(merged.after) - set(merged.before) == ours
    assert set(merged.before) <= set(merged.after)
