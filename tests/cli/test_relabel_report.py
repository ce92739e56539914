"""What `relabel` says of many changes, of none and of one; for people and for programs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from music_reclass.classification import relabel as deciding
from music_reclass.classification.relabel import Relabelled
from music_reclass.features.database import Database, writing_lease
from tests.library import Shell


@pytest.fixture
def report(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Relabelled:
    """What the next relabel will find; the library itself is empty."""
    Database(shell.db).close()
    found = Relabelled()
    monkeypatch.setattr(deciding, "relabel", lambda *arguments, **options: found)
    return found


def test_nothing_to_decide_is_said_in_two_lines(report: Relabelled, shell: Shell) -> None:
    assert shell("relabel") == 0
    first, second = shell.out.splitlines()
    assert first.startswith("decided   0 tracks decided again (")
    assert second == "changed   0 have another genre now; write them: reclass apply"


def test_one_track_is_one_track(report: Relabelled, shell: Shell) -> None:
    report.from_vectors = 1
    report.changes = Counter({(("Rock",), ()): 1})
    assert shell("relabel", "--dry-run") == 0
    assert "decided   1 track would be decided again" in shell.out
    assert "1 of them from stored features" in shell.out
    assert "changed   1 would have another genre; nothing was stored" in shell.out
    assert "       1  Rock -> (no genre)" in shell.out


@pytest.mark.parametrize(
    ("kinds", "rest"),
    [(20, ""), (21, "       1  in 1 other way (--json lists all)"), (23, "       6  in 3 other ways")],
)
def test_many_kinds_of_change_come_most_frequent_first_and_the_rest_in_one_line(
    kinds: int, rest: str, report: Relabelled, shell: Shell
) -> None:
    report.from_votes = 10_000
    report.changes = Counter({((f"Before {n:02}",), (f"After {n:02}",)): kinds - n for n in range(kinds)})
    assert shell("relabel") == 0
    assert "decided   10,000 tracks decided again" in shell.out
    shown = [line for line in shell.out.splitlines() if "->" in line]
    assert len(shown) == 20
    assert shown[0].split() == [str(kinds), "Before", "00", "->", "After", "00"]
    assert rest in shell.out
    assert ("other way" in shell.out) == bool(rest)


def test_programs_get_every_kind_of_change(report: Relabelled, shell: Shell) -> None:
    report.from_votes, report.from_vectors = 300, 7
    report.changes = Counter({(("A", "B"), (f"C{n}",)): n + 1 for n in range(40)})
    assert shell("relabel", "--dry-run", "--json") == 0
    (found,) = shell.objects()
    assert set(found) == {"decided", "from_votes", "from_vectors", "changed", "changes", "dry_run", "seconds"}
    assert (found["decided"], found["from_votes"], found["from_vectors"]) == (307, 300, 7)
    assert (found["changed"], len(found["changes"])) == (820, 40)
    assert found["changes"][0] == {"before": ["A", "B"], "after": ["C39"], "tracks": 40}


def test_genres_with_escapes_are_text(report: Relabelled, shell: Shell) -> None:
    report.changes = Counter({(("a\x1b[31m",), ("b\n",)): 2})
    assert shell("relabel") == 0
    assert "2  a\\x1b[31m -> b\\n" in shell.out


def test_a_taxonomy_of_this_command_alone_is_said_to_be_of_this_command_alone(
    report: Relabelled, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text('[output]\n"Rock" = "Rok"\n')
    assert shell("relabel", "--taxonomy", tmp_path / "mine.toml") == 0
    assert "put this one there: taxonomy = FILE" in shell.out
    assert shell("relabel") == 0
    assert "taxonomy = FILE" not in shell.out


def test_a_dry_run_looks_beside_a_scan_and_a_real_one_waits_for_it(report: Relabelled, shell: Shell) -> None:
    with writing_lease(shell.db, "scan"):
        assert shell("relabel", "--dry-run") == 0
        assert shell("relabel") == 4
        assert "reclass scan" in shell.err
