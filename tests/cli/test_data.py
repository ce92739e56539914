"""The data that the flags name: extraction stops in order, what follows at once."""

from __future__ import annotations

import signal
from pathlib import Path

from music_reclass.cli.data import open_data
from music_reclass.config import load as settings
from music_reclass.taxonomy import load
from music_reclass.training.open import DatasetRequest
from tests.training.synthetic import with_later_kinds, written


def test_once_the_data_are_there_the_first_ctrl_c_ends_the_training(tmp_path: Path) -> None:
    path = written(tmp_path, "t.npz", with_later_kinds(30, musicnn=200))
    before = signal.getsignal(signal.SIGINT)

    data = open_data(DatasetRequest("table", path, kinds=("fma518", "musicnn")), load(), settings({}, None))

    assert signal.getsignal(signal.SIGINT) is before
    assert [kind.name for kind in data.kinds] == ["fma518", "musicnn"]
    assert data.augmentations is None
