"""The data that the flags name: extraction stops in order, what follows at once."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from music_reclass.cli.data import open_data
from music_reclass.config import load as settings
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.taxonomy import load
from music_reclass.training import extraction
from music_reclass.training.open import DatasetRequest
from tests.library import Shell
from tests.training.synthetic import with_later_kinds, written


def test_once_the_data_are_there_the_first_ctrl_c_ends_the_training(tmp_path: Path) -> None:
    path = written(tmp_path, "t.npz", with_later_kinds(30, musicnn=200))
    before = signal.getsignal(signal.SIGINT)

    data = open_data(DatasetRequest("table", path, kinds=("fma518", "musicnn")), load(), settings({}, None))

    assert signal.getsignal(signal.SIGINT) is before
    assert [kind.name for kind in data.kinds] == ["fma518", "musicnn"]
    assert data.augmentations is None


def test_extraction_that_is_stopped_names_the_command_that_goes_on_and_is_an_interruption(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Jazz").mkdir()
    encode(tmp_path / "Jazz" / "1.flac", song(seed=1, seconds=5))
    real = extraction.Extraction.run

    def run(self: extraction.Extraction, *arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        real(self, *arguments)

    monkeypatch.setattr(extraction.Extraction, "run", run)

    assert shell("eval", "--on", "folder", "--data", tmp_path, "--sample", "7", "--least", "1") == 130

    (line,) = shell.err.splitlines()
    assert "what was extracted is kept" in line
    assert f"goes on from here with reclass eval --on folder --data {tmp_path} --least 1 --sample 7" in line


def test_what_is_no_length_of_time_is_refused(shell: Shell) -> None:
    assert shell("train", "all", "--on", "library", "--max-time", "soon") == 2
    assert "'soon' is no length of time; write it like 2h, 30m, 1h30m or 90s" in shell.err


def test_music_of_which_no_genre_can_be_learned_is_said_before_it_is_read(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "Jazz").mkdir()
    (tmp_path / "Jazz" / "1.flac").write_bytes(b"no audio")

    assert shell("eval", "--on", "folder", "--data", tmp_path, "--sample", "7") == 2

    assert "fewer than 5 rows and nothing above, left out: Jazz (1)" in shell.err
    assert "Fewer tracks will do with --least" in shell.err
