"""What the Plex commands print: a plan holds the edits, printing only prints."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from music_reclass.cli.plex_output import (
    path_map,
    show_map,
    show_outcome,
    show_plan,
    show_restore_plan,
    show_steps,
    show_unknown,
)
from music_reclass.domain import Finding
from music_reclass.plex.model import Item, ItemEdit, Section
from music_reclass.plex.paths import PathMap
from music_reclass.plex.plan import LEAVE, RESTORE, SET, SKIP, Row, SyncPlan
from music_reclass.plex.write import Outcome

SECTION = Section(5, "Music", "artist", ("/data",))


def row(number: int, after: str, album: str = "Blue") -> Row:
    item = Item("track", number, "g", f"Tune {number}", album, "Ada", (), {"genre": ("Other",)}, frozenset())
    edit = ItemEdit(item, (item.edit("genre", (after,), lock=True),))
    return Row(SET, "junk", "track", number, item.label, before=("Other",), after=(after,), edit=edit)


def plan(*rows: Row, warning: str = "") -> SyncPlan:
    return SyncPlan(SECTION, ("track",), warning, 100, 90, PathMap((("/data", "/home/me"),)), rows)


def test_a_plan_knows_its_edits_and_prints_the_same_however_often(capsys: pytest.CaptureFixture[str]) -> None:
    shown = plan(row(1, "Jazz"), Row(SKIP, "locked-by-user", "track", 2, "Ada - Tune 2"))
    assert [edit.item.key for edit in shown.edits] == [1]
    show_plan(shown, False)
    first = capsys.readouterr().out
    show_plan(shown, False)
    assert capsys.readouterr().out == first
    assert "100 tracks, 90 of them known here" in first
    assert "set 1 · noop 0 · skip 1" in first
    assert "locked by somebody" in first


def album_row(title: str) -> Row:
    item = Item("album", 99, "g", title, "", "Ada", (), {}, frozenset())
    edit = ItemEdit(item, (item.edit("genre", ("Rock",), lock=True), item.edit("style", ("Shoegaze",), lock=True)))
    return Row(SET, "fill", "album", 99, item.label, after=("Rock",), edit=edit)


def test_people_see_albums_with_their_kinds_of_change(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(plan(album_row("Blue"), row(1, "Rock"), row(2, "Rock"), row(3, "Jazz"), row(4, "Rock", "Red")), False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[2:8] == [
        "Ada - Blue",
        "the album (none) -> Rock style: Shoegaze",
        "2 tracks Other -> Rock",
        "Tune 3 Other -> Jazz",
        "Ada - Red",
        "Tune 4 Other -> Rock",
    ]
    assert "4 tracks set: have one that says nothing" in lines
    assert "1 album set: have no genre" in lines


def test_a_row_names_the_other_fields_that_it_sets_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(plan(album_row("Blue")), True)
    assert json.loads(capsys.readouterr().out) == {
        "action": "set", "reason": "fill", "level": "album", "rating_key": 99, "title": "Ada - Blue", "path": "",
        "before": [], "after": ["Rock"], "style": ["Shoegaze"],
    }  # fmt: skip


def test_people_see_the_first_albums_and_json_has_all(capsys: pytest.CaptureFixture[str]) -> None:
    many = plan(*(row(number, "Jazz", f"CD {number}") for number in range(30)), warning="a warning.")
    show_plan(many, False)
    shown = capsys.readouterr()
    assert (shown.out.count("Other"), "and 15 more albums" in shown.out) == (15, True)
    assert "Warning: a warning." in shown.err
    show_plan(many, True)
    assert [json.loads(line)["rating_key"] for line in capsys.readouterr().out.splitlines()] == list(range(30))


def test_an_album_with_many_kinds_of_change_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(plan(*(row(number, f"Genre {number}") for number in range(8))), False)
    assert "... and 3 more tracks" in capsys.readouterr().out


def test_what_goes_back_comes_before_what_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    back = row(2, "Folk")
    rows = [Row(LEAVE, "gone", "track", 1, "Tune 1"), Row(RESTORE, "", "track", 2, back.title, edit=back.edit)]
    show_restore_plan(7, rows, True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["action"] for line in lines] == ["restore", "leave"]
    assert lines[0]["genre"] == ["Folk"]
    show_restore_plan(7, rows, False)
    assert "7: 1 to go back, 1 to be left alone" in capsys.readouterr().out


@pytest.mark.parametrize(("count", "rest"), [(10, 0), (12, 2)])
def test_many_items_that_are_left_alone_are_cut_and_counted(
    count: int, rest: int, capsys: pytest.CaptureFixture[str]
) -> None:
    show_restore_plan(7, [Row(LEAVE, "gone", "track", n, f"Tune {n}") for n in range(count)], False)
    out = capsys.readouterr().out
    assert f"0 to go back, {count} to be left alone" in out
    assert out.count("Tune ") == 10
    assert (f"and {rest} more" in out) == (rest > 0)


def test_a_map_shows_what_speaks_for_each_pair(capsys: pytest.CaptureFixture[str]) -> None:
    inferred = PathMap((("/data", "/here"),), (18,), ("/x/1.mp3", "/x/2.mp3"))
    show_map(inferred, PathMap((("/given", "/g"),)).over(inferred), False)
    out = capsys.readouterr().out
    assert "'/given' -> '/g'  given" in out
    assert "'/data' -> '/here'  18/20 matched" in out
    assert "not here: /x/1.mp3" in out


def test_a_mapped_folder_here_is_absolute_and_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Music").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "Music")
    monkeypatch.chdir(tmp_path)
    assert path_map(("/data=link",)).pairs == (("/data", os.path.realpath(tmp_path / "Music")),)


def test_an_outcome_names_what_was_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(3, [(f"failed {number}", "refused") for number in range(12)], [("other\nitem", "changed")], True)
    show_outcome(outcome, 7, False, then="restore it")
    lines = capsys.readouterr().out.splitlines()
    assert "3 items, each read back and verified; restore it" in lines[0]
    assert len(lines) == 1 + 10 + 1 + 1
    assert "other\\nitem" in lines[-2]
    assert "and 2 more" in lines[-1]
    show_outcome(outcome, 7, True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["run"], shown["written"], len(shown["failed"]), shown["stopped"]) == (7, 3, 12, True)


def test_steps_are_counted_that_are_not_as_needed(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [Finding("reads", True, "yes"), Finding("locks", False, "no"), Finding("moods", None, "either")]
    assert show_steps(steps, False) == 1
    assert capsys.readouterr().out.splitlines()[1].startswith("! ")
    assert show_steps(steps, True) == 1
    assert [json.loads(line)["fine"] for line in capsys.readouterr().out.splitlines()] == [True, False, None]


def test_of_files_that_the_server_does_not_hold_ten_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_unknown([f"/music/{number}.mp3" for number in range(12)], 30)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Plex does not hold 12 of the 30 files written.")
    assert (lines[1], lines[-1]) == ("  /music/0.mp3", "  and 2 more (--json lists all)")
    assert len(lines) == 12
