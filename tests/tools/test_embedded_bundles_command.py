"""`python -m tools.embedded_bundles` from its words to its exit code."""

from dataclasses import replace
from pathlib import Path

import pytest

from music_reclass.models.bundle import load
from music_reclass.models.early_exit import exit_rules_of
from music_reclass.models.mlp import mlp_estimator
from music_reclass.training.train import StageRecipe
from tests.training.synthetic import SMALL, arrays, views_of, with_later_kinds, written
from tools import embedded_bundles as shipped
from tools.embedded_bundles import main


def quick(seed: int = 0) -> tuple[StageRecipe, ...]:
    """The two stages of the package, of small networks."""
    beside = replace(SMALL, members=("embedding", "key_free_and_embedding"))
    return (
        StageRecipe("fma-mlp", shipped.KINDS[:1], (mlp_estimator(seed, SMALL),)),
        StageRecipe("musicnn-ensemble", shipped.KINDS, (mlp_estimator(seed, beside),)),
    )


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "no models"))
    monkeypatch.setattr(shipped, "stage_recipes", quick)
    content = with_later_kinds(60, musicnn=200)
    table, augmentations = written(tmp_path, "t.npz", content), written(tmp_path, "v.npz", views_of(content))
    return ["--table", str(table), "--views", str(augmentations)]


def test_one_command_makes_both_bundles_and_prints_the_figures(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *files, "--out", str(tmp_path / "data")]) == 0

    printed = capsys.readouterr().out
    first, second = (load(tmp_path / "data" / folder) for folder in shipped.FOLDERS)
    assert printed.startswith("what         a cascade of 2: 60 tracks of 20 artists")
    assert first.digest in printed
    assert second.digest in printed
    assert exit_rules_of(first.manifest)[0].against == (second.digest,)
    assert "never exits: not certified: 20 independent tracks are too few" in printed


@pytest.mark.parametrize("stage", shipped.KINDS)
def test_the_card_is_printed_for_either_stage(stage: str, files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *files, "--stage", stage]) == 0
    text = capsys.readouterr().out
    for part in ("| clean |", "| quiet |", "| bright |", "| confident |", "| Jazz |", "left out", "| one |", "| two |"):
        assert part in text
    assert "nan" not in text


def test_what_the_user_can_mend_is_one_sentence_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--table", str(tmp_path / "absent.npz")]) == 3
    assert "There is no file" in capsys.readouterr().err
    content = arrays(6)
    bare = written(tmp_path, "b.npz", {key: content[key] for key in ("fma518", "columns")})
    assert main(["train", "--table", str(bare), "--out", str(tmp_path / "o")]) == 2
    assert "no labels" in capsys.readouterr().err
