"""Tables and streams as they really come: without labels, broken, or with nowhere to write to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.cli.main import run
from music_reclass.domain import MUSIC
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.bundle import embedded, make, save
from music_reclass.models.linear import LinearModel
from music_reclass.models.transforms import QuantileScale
from tests.library import Shell
from tests.models.test_base import bundle_of


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


def predicted(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[dict[str, Any]]:
    """The JSON lines of `predict`."""
    capsys.readouterr()
    assert run(["predict", *map(str, words), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_row_that_is_perhaps_no_music_is_not_sure_of_its_genre(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = embedded("content")
    typical = content.medians()
    assert typical is not None
    noise = np.random.default_rng(0).standard_normal((200, 518))
    rows = (typical + 0.2 * np.abs(typical) * noise).astype(np.float32)
    np.savez(tmp_path / "t.npz", fma518=rows, columns=np.array(COLUMNS))
    music = content.predict_proba(rows)[:, content.labels.index(MUSIC)]

    found = predicted(capsys, "--table", tmp_path / "t.npz")

    reasons = [row["reason"] for row in found]
    assert {"perhaps_not_music", "not_music"} <= set(reasons)
    for row, share in zip(found, music, strict=True):
        if row["outcome"] != "skipped":
            assert (row["reason"] == "perhaps_not_music") == (share < content.thresholds["likely"])
        if row["reason"] == "perhaps_not_music":
            assert (row["outcome"], row["genre"]) == ("unsure", max(row["probabilities"], key=row["probabilities"].get))


def test_a_tie_of_genres_that_training_did_not_tell_apart_is_decided_as_in_a_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ("Ambient", "Electronic", "Jazz")
    bias = np.log([0.45, 0.43, 0.12]).astype(np.float32)
    scale = QuantileScale(np.tile(np.array([[0.0], [1.0]], np.float32), (1, 518)))
    made = bundle_of(LinearModel("unchanged", scale, np.zeros((518, 3), np.float32), bias), labels)
    manifest = {**made.manifest, "thresholds": {"confident": 0.4, "likely": 0.4}}
    np.savez(tmp_path / "t.npz", fma518=np.zeros((1, 518), np.float32), columns=np.array(COLUMNS))
    for name, pairs in (("apart", []), ("tied", [["Ambient", "Electronic"]])):
        save(make({**manifest, "confusable": pairs}, made.model), tmp_path / name)

    (apart,) = predicted(capsys, "--table", tmp_path / "t.npz", "--bundle", tmp_path / "apart")
    (tied,) = predicted(capsys, "--table", tmp_path / "t.npz", "--bundle", tmp_path / "tied")

    assert (apart["genre"], apart["confidence"], apart["reason"]) == ("Ambient", pytest.approx(0.45), "doubt")
    assert (tied["genre"], tied["confidence"], tied["reason"]) == ("Electronic", pytest.approx(0.88), "tie")


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
