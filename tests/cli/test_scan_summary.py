"""What `scan` says around the plan: what was found and read, what could not be, and a tip where a stage would help."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification import scan as scanning
from music_reclass.extractors.weights import catalogue, store
from music_reclass.features.results import ScanStats, StageStats
from music_reclass.features.scope import Scope
from music_reclass.models.bundle import embedded, save_cascade
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.extractors import small_models
from tests.library import Shell

Found = Callable[[ScanStats], None]


@pytest.fixture(autouse=True)
def _without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    """Says what the next scan finds; the tracks are those that the library holds already."""

    def finds(stats: ScanStats) -> None:
        def scan(scope: Scope, *arguments: object, **options: object) -> ScanStats:
            scope.add_all()
            return stats

        monkeypatch.setattr(scanning, "scan", scan)

    return finds


def test_what_was_found_stands_first_and_the_plan_after_it(library: DecidedLibrary, shell: Shell, found: Found) -> None:
    library.add(Tune("a.mp3"), Tune("b.mp3", tags=("Jazz",)))
    found(ScanStats(found=2, new=1, changed=1, read=2, seconds={"read": 3.0}))
    assert shell("scan", library.folder, "--dry-run") == 0
    lines = shell.out.splitlines()
    folder = os.path.abspath(library.folder)
    assert lines[0] == f"{folder}: 2 tracks, 1 new, 1 changed. Analysed in 3.0 s."
    assert lines[2].startswith("     2 recognised")
    assert (
        lines[-1] == f"Nothing was written (dry run). To write this one: reclass apply {folder} --db {library.database}"
    )


def test_without_yes_the_end_names_apply_as_well(library: DecidedLibrary, shell: Shell, found: Found) -> None:
    library.add(Tune("a.mp3"))
    found(ScanStats(found=1))
    assert shell("scan", library.folder) == 0
    assert f"Nothing was written. To write this one: reclass apply {library.folder}" in shell.out


@pytest.mark.parametrize(("count", "rest"), [(5, ""), (6, "and 1 more folder"), (1200, "and 1,195 more folders")])
def test_folders_that_could_not_be_read_are_named_cut_and_make_the_exit_code_1(
    count: int, rest: str, library: DecidedLibrary, shell: Shell, found: Found
) -> None:
    library.add(Tune("a.mp3"))
    found(ScanStats(found=1, unreadable=[(f"/m/\x1b{n:04}", "Permission denied") for n in range(count)]))
    assert shell("scan", library.folder, "--yes") == 1
    shown = [line.strip() for line in shell.out.splitlines() if "cannot be read" in line]
    assert shown == [f"! /m/\\x1b{n:04} cannot be read: Permission denied" for n in range(5)]
    assert (rest in shell.out, "more folder" in shell.out) == (True, bool(rest))
    assert "Written: 1 file" in shell.out  # what could be read is tagged all the same


TIP = "A better model is one command away: reclass models download   (4 MB, MIT)"


def test_a_better_model_is_named_once_and_only_where_somebody_is_unsure(
    library: DecidedLibrary, shell: Shell, found: Found
) -> None:
    found(ScanStats(found=1))
    library.add(Tune("a.mp3"))
    assert shell("scan", library.folder, "--dry-run") == 0
    assert TIP not in shell.out
    library.add(Tune("b.mp3", ""))
    assert shell("scan", library.folder, "--dry-run", "--json") == 0
    assert TIP not in shell.out
    assert shell("scan", library.folder, "--dry-run") == 0
    assert shell.out.splitlines()[-1] == TIP
    assert shell("scan", library.folder, "--dry-run") == 0
    assert TIP not in shell.out


def test_a_stage_of_the_users_own_bundle_that_cannot_run_is_named_by_every_scan_and_nothing_else_is_offered(
    library: DecidedLibrary, shell: Shell, found: Found, tmp_path: Path
) -> None:
    save_cascade([embedded(), embedded("efficientat")], tmp_path / "own")
    found(ScanStats(found=1))
    library.add(Tune("b.mp3", ""))
    for _ in range(2):
        assert shell("scan", library.folder, "--dry-run", "--bundle", tmp_path / "own") == 0
        assert "1 uncertain track might be decided by the stage efficientat, but" in shell.err
        assert TIP not in shell.out


def test_who_declined_the_offer_gets_no_tip_and_who_got_a_tip_is_still_asked(
    library: DecidedLibrary, shell: Shell, found: Found
) -> None:
    found(ScanStats(found=1))
    library.add(Tune("b.mp3", ""))
    store.remember_offer(catalogue.RECOMMENDED, "2026-11-21")
    assert shell("scan", library.folder, "--dry-run") == 0
    assert TIP not in shell.out
    (store.models_folder() / "offers.json").unlink()
    assert shell("scan", library.folder, "--dry-run") == 0
    assert TIP in shell.out
    assert not store.was_offered(catalogue.RECOMMENDED)


def test_a_tip_that_cannot_be_remembered_is_said_all_the_same(
    library: DecidedLibrary, shell: Shell, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(ScanStats(found=1))
    library.add(Tune("b.mp3", ""))

    def refuse(model: str, day: str) -> None:
        raise PermissionError

    monkeypatch.setattr(store, "remember_offer", refuse)
    assert shell("scan", library.folder, "--dry-run") == 0
    assert TIP in shell.out


def test_a_network_that_no_stage_reads_is_named_once_with_the_line_that_makes_one(
    library: DecidedLibrary, shell: Shell, found: Found
) -> None:
    found(ScanStats(found=1))
    library.add(Tune("b.mp3", ""))
    small_models.install("mert", {"any": np.zeros(1, np.float32)})
    line = "mert: no stage reads its vectors yet; make one from your tags: reclass train all --on library"

    assert shell("scan", library.folder, "--dry-run") == 0
    assert line in shell.out
    assert shell("scan", library.folder, "--dry-run") == 0
    assert line not in shell.out


def test_only_new_failures_make_the_exit_code_1(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "Music"
    folder.mkdir()
    (folder / "broken.flac").write_bytes(b"fLaC" + bytes(3000))
    assert shell("scan", folder, "--yes") == 1
    assert shell("scan", folder, "--yes") == 0
    assert shell("scan", folder, "--yes", "--rescan") == 0  # read again, and it fails as before
    assert shell("scan", folder, "--yes", "--strict") == 1
    (folder / "second.flac").write_bytes(b"fLaC" + bytes(4000))
    assert shell("scan", folder, "--yes") == 1


def test_details_come_with_verbose_alone(library: DecidedLibrary, shell: Shell, found: Found) -> None:
    library.add(Tune("a.mp3"))
    found(ScanStats(found=1, in_pieces=1, stages={"fma518": StageStats(1, 2.0)}))
    assert shell("scan", library.folder, "--dry-run", "-v") == 0
    assert "absent    the stage efficientat does not vote" in shell.out
    assert "stages    fma518 1 (100%)" in shell.out
    assert "1 window computed in pieces" in shell.out
    assert shell("scan", library.folder, "--dry-run") == 0
    assert not any(line.startswith(("absent", "stages", "memory")) for line in shell.out.splitlines())


def test_the_scan_is_remembered_with_what_was_asked_for_even_if_it_wrote_nothing(
    library: DecidedLibrary, shell: Shell, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(Tune("a.mp3"))
    found(ScanStats(found=1, decided=1))
    monkeypatch.chdir(library.folder.parent)
    assert shell("scan", "Music", "--rescan", "--dry-run") == 0
    assert shell("report", "--json") == 0
    (scan,) = shell.objects()[0]["scans"]
    assert (scan["found"], scan["decided"]) == (1, 1)
    assert scan["arguments"] == {"paths": [os.path.abspath("Music")], "rescan": True}
    assert shell("history") == 0
    assert shell.out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-time", "soon"], "no length of time"),
        (["--jobs", "-1"], "0 is the least"),
        (["--timeout", "nan"], "1 is the least"),
        (["--on-existing", "overwrite"], "'keep'"),
        (["--profile", "winamp"], "'navidrome'"),
        (["--bundle", "/nowhere"], "/nowhere"),
        (["--map", "nonsense", "--sync-plex"], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_that_make_no_sense_stop_the_scan_before_it_begins(
    words: list[str], said: str, library: DecidedLibrary, shell: Shell
) -> None:
    library.add(Tune("a.mp3"))
    assert shell("scan", library.folder, "--yes", *words) in (2, 5)
    assert said in shell.err
    assert shell.out == ""
