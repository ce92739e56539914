"""`python -m tools.embedded_bundles` from its words to its exit code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.models import bundle
from music_reclass.models.early_exit import exit_rules_of
from music_reclass.models.mlp import mlp_estimator
from music_reclass.taxonomy import load
from music_reclass.training.train import StageRecipe
from tests.training.synthetic import SMALL, arrays, views_of, with_later_kinds, written
from tools import embedded_bundles as shipped
from tools.embedded_bundles import main


def quick(stage: str, seed: int = 0) -> StageRecipe:
    """A stage of the package, of small networks."""
    recipe = SMALL if stage == "fma518" else replace(SMALL, members=("embedding", "key_free_and_embedding"))
    return StageRecipe(shipped.NAMES[stage], shipped.STAGES[stage], (mlp_estimator(seed, recipe, taxonomy=load()),))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "no models"))
    monkeypatch.setattr(shipped, "stage_recipe", quick)
    content = with_later_kinds(60, musicnn=200, efficientat=384, efficientat_tags=527)
    content["efficientat_tags"] = np.clip(content["efficientat_tags"], 0.0, 1.0)
    table, augmentations = written(tmp_path, "t.npz", content), written(tmp_path, "v.npz", views_of(content))
    return ["--table", str(table), "--views", str(augmentations)]


def test_one_command_makes_all_bundles_and_prints_the_figures(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *files, "--out", str(tmp_path / "data")]) == 0

    printed = capsys.readouterr().out
    first, *later = (bundle.load(tmp_path / "data" / folder) for folder in bundle.EMBEDDED.values())
    assert all(one.digest in printed for one in (first, *later))
    assert [rule.against for rule in exit_rules_of(first.manifest)] == [(one.digest,) for one in later]
    assert [one.stage for one in (first, *later)] == ["fma518", "efficientat", "musicnn"]
    assert later[0].model.priors[0].members.shape == (527, 4)
    assert "never exits: not certified: 20 independent tracks are too few" in printed


@pytest.mark.parametrize("stage", shipped.STAGES)
def test_the_card_is_printed_for_every_stage(stage: str, files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_vectors_of_efficientat_join_a_table_and_its_degraded_versions(tmp_path: Path) -> None:
    content = arrays(6)
    generator = np.random.default_rng(0)
    clean = {"mn04": generator.normal(size=(6, 384)), "mn04_logits": generator.normal(size=(6, 527))}
    table, more = written(tmp_path, "t.npz", content), written(tmp_path, "e.npz", clean)
    out = tmp_path / "joined.npz"

    assert main(["join", "--table", str(table), "--efficientat", str(more), "--out", str(out)]) == 0

    with np.load(out) as stored:
        assert np.allclose(stored["efficientat"], clean["mn04"])
        assert np.allclose(stored["efficientat_tags"], 1 / (1 + np.exp(-clean["mn04_logits"])), atol=1e-6)
        assert np.array_equal(stored["fma518"], content["fma518"])
