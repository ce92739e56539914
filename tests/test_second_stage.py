"""MusiCNN joins for uncertain tracks: with the real weights where they are at hand."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from music_reclass.config import Settings
from tests.library import Shell


def exit_rule() -> float:
    """The confidence from which a track exits at the first stage."""
    from music_reclass.cli.session import cascade_for
    from music_reclass.taxonomy import load

    return cascade_for(Settings(stages="1,musicnn"), load(), None).stages[0].thresholds.exit


def test_the_second_stage_is_asked_about_uncertain_tracks_only(installed: None, music: Path, shell: Shell) -> None:
    assert shell("scan", music, "--dry-run", "--json", "--no-album", "--stages", "1") == 0
    alone = shell.by_name()
    assert {stage for item in alone.values() for stage in item["votes"]} <= {"content", "fma518", "album"}
    assert shell("scan", music, "--dry-run", "--json", "--no-album", "--stages", "1,musicnn") == 0
    both = shell.by_name()
    for name, item in both.items():
        assert ("musicnn" in item["votes"]) == (max(alone[name]["votes"]["fma518"].values()) < exit_rule()), name
    with sqlite3.connect(shell.db) as sql:
        (stored,) = sql.execute("SELECT count(*) FROM vector WHERE kind LIKE 'musicnn/%'").fetchone()
    assert stored == sum("musicnn" in item["votes"] for item in both.values()) > 0
    assert shell("scan", music, "--dry-run", "--no-album") == 0
    assert "once more" not in shell.out


def test_installed_weights_are_used_without_being_named(installed: None, music: Path, shell: Shell) -> None:
    assert shell("scan", music / "Ida Quill", "--dry-run", "--no-album") == 0
    if "with the stage musicnn" not in shell.out:
        assert shell("scan", music / "Ida Quill", "--dry-run", "--no-album", "--json") == 0
        assert all(max(item["votes"]["fma518"].values()) >= exit_rule() for item in shell.objects())


def test_a_stage_without_weights_is_refused_by_name_and_left_out_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, music: Path, shell: Shell
) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "empty"))
    assert shell("scan", music, "--dry-run", "--stages", "1,musicnn") == 2
    assert "reclass models" in shell.err
    assert shell("scan", music / "Grid Nine", "--dry-run", "--verbose") == 0
    assert "the stage efficientat does not vote: the model efficientat is not installed" in shell.out
    assert shell("scan", music / "Grid Nine", "--dry-run", "--json") == 0
    assert {stage for item in shell.objects() for stage in item["votes"]} <= {"content", "fma518", "album"}
    assert shell("scan", music, "--stages", "musicnn,jmla") == 2
    assert "There are no stages" in shell.err


def test_a_scan_stopped_while_the_second_stage_extracts_goes_on_later(
    installed: None, music: Path, shell: Shell
) -> None:
    import os
    import signal
    import time

    words = [sys.executable, "-m", "music_reclass", "scan", str(music), "--db", str(shell.db), "--dry-run", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
        if shell.db.exists():
            with sqlite3.connect(f"file:{shell.db}?mode=ro", uri=True) as sql:
                try:
                    (count,) = sql.execute("SELECT count(*) FROM vector").fetchone()
                except sqlite3.OperationalError:
                    continue
            if count >= 11:
                break
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert process.returncode in {0, 130}
    assert all(json.loads(line) for line in out.splitlines())
    assert shell("scan", music, "--dry-run", "--json") == 0
    assert all(item["outcome"] in {"confident", "likely", "unsure"} for item in shell.objects())


def test_a_budget_is_spent_and_what_it_leaves_is_said_and_taken_up_by_the_next_scan(
    installed: None, music: Path, shell: Shell
) -> None:
    # Then nearly no track exits, and the second stage is not a part of reading the file.
    words = ("scan", music, "--dry-run", "--no-album", "--stages", "1,musicnn", "--exit-policy", "fixed:0.9999")
    assert shell(*words, "--max-tracks", "2") == 0
    assert "2 tracks once more with the stage musicnn" in shell.out
    assert "did not get to the stage musicnn; the next scan goes on there" in shell.out
    assert shell(*words, "--max-time", "1h", "--json") == 0
    assert sum("musicnn" in item["votes"] for item in shell.objects()) == len(shell.objects())
    assert shell(*words, "--max-time", "soon") == 2
    assert "no length of time" in shell.err


def test_a_stage_that_every_track_goes_to_is_extracted_when_the_file_is_read(
    installed: None, music: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("music_reclass.models.early_exit.exit_rules_of", lambda manifest: ())  # then no track may exit
    certified = ("--exit-policy", "certified")
    assert shell("scan", music, "--dry-run", "--no-album", *certified, "--stages", "1") == 0
    assert shell("scan", music, "--dry-run", "--no-album", *certified) == 0
    with sqlite3.connect(shell.db) as sql:  # fma518 was there: the file was opened for the other alone
        (count,) = sql.execute("SELECT count(*) FROM vector WHERE kind LIKE 'musicnn/%'").fetchone()
    assert count == 11
    before = shell.by_name() if shell("scan", music, "--dry-run", "--no-album", *certified, "--json") == 0 else {}
    shell.db = shell.db.with_name("new.sqlite3")
    assert shell("scan", music, "--dry-run", "--no-album", *certified, "--json") == 0
    assert {name: item["votes"] for name, item in shell.by_name().items()} == {
        name: item["votes"] for name, item in before.items()
    }
    with sqlite3.connect(shell.db) as sql:
        kinds = dict(sql.execute("SELECT substr(kind, 1, instr(kind, '/') - 1), count(*) FROM vector GROUP BY 1"))
        stages = {name: (heard, seconds) for name, heard, seconds in sql.execute(
            "SELECT stage, heard, seconds FROM scan_stage"
        )}  # fmt: skip
    assert kinds == dict.fromkeys(("fma518", "musicnn", "musicnn-tags"), len(before))
    assert stages["fma518"][0] == stages["musicnn"][0] == len(before)
    assert stages["fma518"][1] > 0 < stages["musicnn"][1]
