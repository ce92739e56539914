"""The model card's figures are measured, with every section in place."""

from pathlib import Path

from music_reclass.models.dataset import read_augmentations
from music_reclass.models.mlp import mlp_estimator
from music_reclass.training import npz
from music_reclass.training.train import StageRecipe
from tests.training.synthetic import SMALL, arrays, views_of, written
from tools import model_card as card

RECIPE = StageRecipe("fma-mlp", ("fma518",), (mlp_estimator(recipe=SMALL),))


def test_the_card_measures_augmentations_coverage_genres_and_left_out_collections(tmp_path: Path) -> None:
    content = arrays(60)
    data = npz.read(written(tmp_path, "t.npz", content))
    data = data.with_augmentations(read_augmentations(written(tmp_path, "v.npz", views_of(content)), data.table))
    text = card.model_card(data, RECIPE, 0, lambda _: None)
    for part in ("| clean |", "| quiet |", "| bright |", "| confident |", "| Jazz |", "left out", "| one |", "| two |"):
        assert part in text
    assert "nan" not in text


def test_a_table_of_one_unnamed_collection_has_no_section_on_collections(tmp_path: Path) -> None:
    content = arrays(60)
    del content["dataset"]
    text = card.model_card(npz.read(written(tmp_path, "t.npz", content)), RECIPE, 0, lambda _: None)
    assert "left out" not in text
