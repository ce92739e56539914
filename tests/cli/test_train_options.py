"""What the flags of `train` commands come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.cli import output, train_options
from music_reclass.cli.train_options import TrainOptions, finish
from music_reclass.config import Settings, load
from music_reclass.errors import NothingToDo, UsageError
from music_reclass.models.dataset import Dataset, read_augmentations, read_table
from music_reclass.taxonomy import load as load_taxonomy
from music_reclass.training.augment import AUGMENTATIONS
from music_reclass.training.open import DatasetRequest
from tests.training.synthetic import arrays, views_of, written


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


@pytest.mark.parametrize(("terminal", "yes", "answer", "asked"), [
    (True, False, False, 1), (True, False, True, 1), (True, True, False, 0), (False, False, False, 0),
])  # fmt: skip
def test_somebody_at_a_terminal_is_asked_whether_to_wait_for_hours(
    terminal: bool, yes: bool, answer: bool, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    answers: list[bool] = []

    def confirm(question: str, **_: object) -> bool:
        questions.append(question)
        return answer

    def open_data(*_: object, ask: Callable[[str], bool]) -> Dataset:
        answers.append(ask("Go on?"))
        raise NothingToDo("seen")

    monkeypatch.setattr(train_options, "interactive", lambda: terminal)
    monkeypatch.setattr(output, "interactive", lambda: terminal)
    monkeypatch.setattr(output.click, "confirm", confirm)
    monkeypatch.setattr(train_options, "open_data", open_data)

    with pytest.raises(NothingToDo, match="seen"):
        train_options.training_data(options(tmp_path, yes=yes), load_taxonomy())
    assert (len(questions), answers) == (asked, [answer if asked else True])


def test_a_sample_of_a_table_with_augmentations_keeps_those_of_its_rows(tmp_path: Path) -> None:
    content = arrays(40)
    table, changed = written(tmp_path, "t.npz", content), written(tmp_path, "v.npz", views_of(content))
    request = DatasetRequest("table", sample=10)
    found = train_options.training_data(
        options(tmp_path, request=request, table=table, augmentations=changed), load_taxonomy()
    )

    assert (len(found), found.augmentations is not None) == (10, True)
    assert found.augmentations is not None
    whole = read_augmentations(changed, read_table(table))
    assert np.array_equal(found.augmentations.rows, whole.rows[[int(name) for name in found.names]])


def test_the_seed_of_a_training_draws_the_sample_too(tmp_path: Path) -> None:
    assert options(tmp_path, seed=5).data_request().seed == 5
