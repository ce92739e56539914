"""The data that the flags name: listening stops in order, what follows at once."""

from __future__ import annotations

import signal
from pathlib import Path

from music_reclass.cli.data import opened_with_views
from music_reclass.config import load as settings
from music_reclass.taxonomy import load
from tests.training.synthetic import with_later_kinds, written


def test_once_the_data_are_there_the_first_ctrl_c_ends_the_training(tmp_path: Path) -> None:
    words = {
        "kind": "table", "data_path": written(tmp_path, "t.npz", with_later_kinds(30, musicnn=200)), "subset": "large",
        "excerpt": "mid30", "audio": None, "least": 1, "roots": False,
    }  # fmt: skip
    before = signal.getsignal(signal.SIGINT)

    with opened_with_views(settings({}, None), words, load(), ("fma518", "musicnn")) as (data, views):
        assert signal.getsignal(signal.SIGINT) is before
        assert [kind.name for kind in data.kinds] == ["fma518", "musicnn"]
        assert views is None
