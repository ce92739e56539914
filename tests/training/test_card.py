"""The model card's figures are measured, with every section in place."""

from pathlib import Path

from music_reclass.training import card, tables
from tests.training.synthetic import SMALL, arrays, views_of, written


def test_the_card_measures_versions_coverage_genres_and_left_out_collections(tmp_path: Path) -> None:
    content = arrays(60)
    table = tables.read(written(tmp_path, "t.npz", content))
    views = tables.read_views(written(tmp_path, "v.npz", views_of(content)), table)
    text = card.text(table, views, 0, lambda _: None, SMALL)
    for part in ("| clean |", "| quiet |", "| bright |", "| confident |", "| Jazz |", "left out", "| one |", "| two |"):
        assert part in text
    assert "nan" not in text


def test_a_table_of_one_unnamed_collection_has_no_section_on_collections(tmp_path: Path) -> None:
    content = arrays(60)
    del content["dataset"]
    text = card.text(tables.read(written(tmp_path, "t.npz", content)), None, 0, lambda _: None, SMALL)
    assert "left out" not in text
