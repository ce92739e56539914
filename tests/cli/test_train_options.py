"""What the flags of `train` commands come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from music_reclass.cli.train_options import TrainOptions, finish
from music_reclass.config import Settings, load
from music_reclass.errors import UsageError
from music_reclass.training.augment import AUGMENTATIONS
from music_reclass.training.open import DatasetRequest


def options(tmp_path: Path, **given: Any) -> TrainOptions:
    plain: dict[str, Any] = {
        "request": DatasetRequest("folder", tmp_path), "settings": Settings(), "config_file": None, "table": None,
        "augmentations": None, "out": tmp_path / "bundle", "target_precision": None, "seed": 0, "set_default": False,
    }  # fmt: skip
    return TrainOptions(**{**plain, **given})


def test_a_table_and_the_library_count_more_than_on(tmp_path: Path) -> None:
    assert options(tmp_path).data_request().form == "folder"
    request = options(tmp_path, table=tmp_path / "table.npz").data_request(("fma518", "mert"))
    assert (request.form, request.path, request.kinds) == ("table", tmp_path / "table.npz", ("fma518", "mert"))
    assert options(tmp_path, from_library=True, table=tmp_path / "table.npz").data_request().form == "library"


def test_augmentations_are_named_once_each_or_all_together(tmp_path: Path) -> None:
    first, second = list(AUGMENTATIONS)[:2]
    assert options(tmp_path).data_request().augmentations == ()
    assert options(tmp_path, augment=f"{second}, {first},{second}").data_request().augmentations == (second, first)
    assert options(tmp_path, augment="all").data_request().augmentations == tuple(AUGMENTATIONS)
    with pytest.raises(UsageError, match=f"There is no augmentation 'echo'; choose among {first}"):
        options(tmp_path, augment="echo").data_request()


def test_a_bundle_becomes_the_default_only_where_that_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    finish(options(tmp_path, config_file=file), tmp_path / "bundle")
    shown = capsys.readouterr().out
    assert f"reclass scan --bundle {tmp_path / 'bundle'} PATH" in shown
    line = f'bundle = "{(tmp_path / "bundle").resolve()}"'
    assert f"put this line into {file} (or train with --set-default): {line}" in shown
    assert not file.exists()
    file.write_text(line)
    assert load({}, file, {}).bundle == (tmp_path / "bundle").resolve()
    file.unlink()
    finish(options(tmp_path, config_file=file, set_default=True), tmp_path / "bundle")
    assert load({}, file, {}).bundle == (tmp_path / "bundle").resolve()
