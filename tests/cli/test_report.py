"""`report`, `calibrate` and `audit-exits` on a small real library with the features of both stages."""

from __future__ import annotations

import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from music_reclass.cli.main import run
from music_reclass.features.database import Database
from music_reclass.features.results import LibraryExits
from music_reclass.models.bundle import embedded
from music_reclass.models.early_exit import ExitRule, exit_as_manifest
from tests.library import WEIGHTS, Shell


@pytest.fixture(scope="module")
def scanned(demo_library: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with the weights and the database of one dry scan with both stages, and what the scan printed."""
    if not WEIGHTS.is_file():
        pytest.skip("the MusiCNN weights are not beside the checkout (../shared/data/weights)")
    folder = tmp_path_factory.mktemp("scanned")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        patch.setenv("RECLASS_MODELS", str(folder / "models"))
        assert run(["models", "install", "musicnn", str(WEIGHTS)]) == 0
        assert (
            run(
                [
                    "scan",
                    str(demo_library),
                    "--dry-run",
                    "-v",
                    "--exit-policy",
                    "certified",
                    "--db",
                    str(folder / "library.sqlite3"),
                ]
            )
            == 0
        )
    return folder, said.getvalue()


@pytest.fixture
def library(scanned: tuple[Path, str], shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The command line on a copy of that database."""
    folder, _ = scanned
    monkeypatch.setenv("RECLASS_MODELS", str(folder / "models"))
    shutil.copy(folder / "library.sqlite3", shell.db)
    return shell


def certify(shell: Shell, threshold: float, epsilon: float = 0.02) -> None:
    """Put an exit of the first stage into the library, as `calibrate` would."""
    database = Database(shell.db)
    rule = ExitRule(threshold, epsilon, 0.1, 1000, 3, 0.5, (embedded("musicnn").digest,), labels=False)
    LibraryExits(database).save({embedded().digest: exit_as_manifest(rule)})
    database.close()


@pytest.mark.parametrize("words", [["report"], ["audit-exits"], ["calibrate"], ["calibrate", "--from-library"]])
def test_without_a_library_there_is_nothing_to_do_and_none_is_made(words: list[str], shell: Shell) -> None:
    assert shell(*words) == 3
    assert "scan" in shell.err
    assert not shell.db.exists()


def test_a_verbose_scan_prints_technical_details(scanned: tuple[Path, str]) -> None:
    _, printed = scanned
    for label in ("stages", "time", "expected", "your tags"):
        assert any(line.startswith(label) for line in printed.splitlines()), label
    assert "s each · musicnn" in printed


def test_the_report_remembers_the_scan_as_text_as_json_and_as_a_page(library: Shell, tmp_path: Path) -> None:
    assert library("report", "--json", "--html", tmp_path / "page.html") == 0
    (found,) = library.objects()
    assert sum(found["figures"]["outcomes"].values()) == 11
    assert set(found["costs"]) == {"fma518", "musicnn"}
    assert all(seconds > 0 for seconds in found["costs"].values())
    assert [scan["found"] for scan in found["scans"]] == [11]
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "<script" not in page

    assert library("report") == 0
    assert "11 tracks" in library.out
    assert library("report", "--html", tmp_path / "no" / "such" / "page.html") == 1
    assert "cannot be written" in library.err


def test_exits_certified_on_a_library_hold_for_its_next_scan_until_they_are_forgotten(
    library: Shell, demo_library: Path
) -> None:
    assert library("calibrate", "--from-library", "--json") == 0
    (rule,) = (one for one in library.objects() if "stage" in one)
    assert (rule["stage"], rule["threshold"], rule["labels"]) == ("fma518", None, True)
    assert rule["more_artists"] == 114 - rule["count"]
    assert "too few" in rule["why"]
    assert library("calibrate") == 0
    assert "certified on this library" in library.out

    certify(library, 0.05)
    assert library("scan", demo_library, "--dry-run", "-v") == 0
    assert "fma518 11 (100%" in library.out

    assert library("calibrate", "--forget", "--json") == 0
    (forgotten,) = library.objects()
    assert forgotten["forgotten"] == forgotten["would_forget"] >= 1
    assert library("scan", demo_library, "--dry-run", "-v", "--exit-policy", "certified") == 0
    assert "fma518 11 (100%" not in library.out


def test_agreement_with_the_whole_cascade_needs_no_tags(library: Shell) -> None:
    assert library("calibrate", "--from-library", "--label-free", "--dry-run", "--json") == 0
    (waiting,) = library.objects()
    assert waiting["to_hear"].get("musicnn", 0) < waiting["tracks"]  # only early exits still lack features
    assert library("calibrate", "--from-library", "--label-free", "--epsilon", "0.5", "--json") == 0
    (rule,) = library.objects()
    assert (rule["labels"], rule["count"]) == (False, waiting["tracks"])
    assert rule["threshold"] is not None
    assert library("calibrate", "--from-library", "--label-free", "--dry-run", "--json") == 0
    assert library.objects()[0]["to_hear"] == {}  # what was extracted is kept


def test_an_audit_ends_with_1_where_more_is_lost_than_certified(library: Shell, demo_library: Path) -> None:
    certify(library, 0.05)
    assert library("audit-exits") == 3  # no early exit by the exit rules as they are now
    assert library("scan", demo_library, "--dry-run") == 0
    assert library("audit-exits", "--share", "1", "--dry-run") == 0
    assert "11 of 11 early exits" in library.out

    library("audit-exits", "--share", "1", "--json")
    (found,) = library.objects()
    assert (found["tracks"], found["early"], found["heard"]) == (11, 11, 11)
    other = sum(row["other"] for row in found["rows"])
    (judged,) = found["judgements"]
    assert judged["rate"] == pytest.approx(other / 11)
    assert judged["alarm"] == found["alarm"] == (other > 0)
    assert library.codes[-1] == (1 if other else 0)

    assert library("report", "--json") == 0
    assert library.objects()[0]["audits"][0]["heard"] == 11
    assert library("audit-exits", "--share", "1") == library.codes[-3]
    assert "by its vote" in library.out


def test_options_that_contradict_each_other_are_refused(library: Shell) -> None:
    assert library("calibrate", "--from-library", "--forget") == 2
    assert library("calibrate", "--label-free") == 2
    assert library("calibrate", "--from-library", "--stages", "1") == 3
    assert "one stage only" in library.err
    assert library("audit-exits", "--share", "0") == 2
