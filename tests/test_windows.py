"""`scan --windows 3`: beginning, middle and end of a long track vote together, and `explain` says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from music_reclass.extractors.audio.synthesis import encode, song
from tests.library import Shell


@pytest.fixture
def long_and_short(tmp_path: Path) -> Path:
    """A track of two minutes, whose quarters are of other tunes, and one of six seconds."""
    folder = tmp_path / "Music"
    folder.mkdir()
    parts = [song(seed=seed, seconds=30, rate=22050) for seed in range(4)]
    encode(folder / "long.flac", np.concatenate(parts), 22050)
    encode(folder / "short.flac", parts[0][: 6 * 22050], 22050)
    return folder


def test_three_windows_of_a_long_track_vote_and_are_explained(long_and_short: Path, shell: Shell) -> None:
    words = ("scan", long_and_short, "--dry-run", "--json", "--stages", "1")
    assert shell(*words) == 0
    middle = shell.by_name()
    assert shell(*words, "--windows", "3") == 0
    mean = shell.by_name()
    assert mean["short.flac"]["votes"] == middle["short.flac"]["votes"]
    assert mean["long.flac"]["votes"] != middle["long.flac"]["votes"]
    with sqlite3.connect(shell.db) as sql:
        kinds = [kind for (kind,) in sql.execute("SELECT kind FROM vector ORDER BY kind")]
    assert kinds == ["fma518/1/end30", "fma518/1/mid30", "fma518/1/mid30", "fma518/1/start30"]

    for name, count in (("long.flac", 3), ("short.flac", 1)):
        assert shell("explain", long_and_short / name, "--windows", "3", "--json") == 0
        (explained,) = shell.objects()
        assert explained["windows"] == count
        assert explained["votes"]["fma518"] == pytest.approx(mean[name]["votes"]["fma518"], abs=1e-3)
    assert shell("explain", long_and_short / "long.flac", "--windows", "3") == 0
    assert "the mean of its votes on 3 excerpts" in shell.out
    assert shell("explain", long_and_short / "long.flac") == 0
    assert "excerpts" not in shell.out

    assert shell(*words) == 0
    assert shell.by_name() == middle
    assert shell("scan", long_and_short, "--dry-run", "--windows", "6") == 2
    assert "5 is the most" in shell.err


def test_a_file_outside_the_library_is_explained_by_all_its_windows(long_and_short: Path, shell: Shell) -> None:
    for name, count in (("long.flac", 3), ("short.flac", 1)):
        assert shell("explain", long_and_short / name, "--windows", "3", "--json") == 0
        assert shell.objects()[0]["windows"] == count
