"""Tables and streams as they really come: without labels, broken, or with nowhere to write to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from music_reclass.cli.main import run
from music_reclass.extractors.fma518 import COLUMNS
from tests.library import Shell


def test_predictions_do_not_look_at_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).standard_normal((4, 518)).astype(np.float32)
    labels = np.zeros((4, 2), bool)  # rows without any label, which training refuses
    np.savez(tmp_path / "t.npz", fma518=rows, columns=np.array(COLUMNS), labels=labels, classes=np.array(["a", "b"]))
    assert run(["predict", "--table", str(tmp_path / "t.npz"), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_broken_table_is_one_sentence_without_bad_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.npz").write_bytes(b"PKjunk")
    assert run(["predict", "--table", str(tmp_path / "t.npz")]) == 2
    err = capsys.readouterr().err
    assert "is not a feature table" in err
    assert "allow_pickle" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_stdout_is_one_sentence(music: Path, shell: Shell) -> None:
    shell("scan", music / "Grid Nine", "--dry-run")
    words = [sys.executable, "-m", "music_reclass", "export", "--format", "jsonl", "--db", str(shell.db)]
    with open("/dev/full", "w") as full:
        result = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "No space left on device" in result.stderr
    assert "bug" not in result.stderr
