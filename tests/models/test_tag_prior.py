"""Genre tags become log-odds of a model's labels, and a network beside them begins where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from music_reclass.extractors.efficientat import audioset_labels
from music_reclass.extractors.musicnn import TAGS as JAMENDO
from music_reclass.models.dataset import Table
from music_reclass.models.mlp import PRIOR_RECIPE, Ensemble, mlp_estimator, restored
from music_reclass.models.tag_prior import TagPrior, genre_of, tag_priors, without_tags
from music_reclass.taxonomy import load
from tests.training.synthetic import with_later_kinds

TAXONOMY = load()
AUDIOSET = audioset_labels()
COLUMNS = tuple(f"efficientat-tags_{number:03}" for number in range(527))
LABELS = ("Rock", "Electronic", "Latin", "Hip-Hop", "Soul-RnB", "Classical")


def _counted(label: str, labels: tuple[str, ...] = LABELS) -> set[str]:
    (prior,) = tag_priors(COLUMNS, labels, TAXONOMY)
    return {AUDIOSET[number] for number in np.flatnonzero(prior.members[:, labels.index(label)])}


def test_a_tag_counts_for_the_label_of_its_genre_or_of_the_nearest_genre_above() -> None:
    assert {"Rock music", "Heavy metal", "Punk rock", "Grunge"} <= _counted("Rock")
    assert {"House music", "Techno", "Drum and bass", "Trance music"} <= _counted("Electronic")
    assert {"Music of Latin America", "Salsa music", "Flamenco"} == _counted("Latin")
    assert {"Hip hop music", "Rapping"} == _counted("Hip-Hop")
    assert {"Classical music", "Opera"} == _counted("Classical")


def test_a_finer_label_takes_its_tag_from_the_wider_one() -> None:
    labels = ("Rock", "Heavy Metal")
    assert _counted("Heavy Metal", labels) == {"Heavy metal"}
    assert "Heavy metal" not in _counted("Rock", labels)


def test_a_label_below_every_tag_takes_those_of_the_nearest_genre_above() -> None:
    labels = ("Electronic", "Acid House")
    assert _counted("Acid House", labels) == {"House music"}


@pytest.mark.parametrize("tag", ["Dog", "Background music", "instrument---violin", "mood/theme---happy", "Song"])
def test_what_is_no_genre_counts_for_none(tag: str) -> None:
    assert genre_of(tag, TAXONOMY) is None


def test_every_genre_tag_of_jamendo_but_three_is_a_genre() -> None:
    without = [tag for tag in JAMENDO if tag.startswith("genre---") and genre_of(tag, TAXONOMY) is None]
    assert without == ["genre---chillout", "genre---experimental", "genre---soundtrack"]


def test_log_odds_are_those_of_any_tag_of_the_label() -> None:
    members = np.array([[True, False, False], [True, False, False], [False, True, False]])
    found = TagPrior(1, members)(np.array([[9.0, 0.5, 0.5, 0.2, 7.0]], dtype=np.float32))
    assert found[0, :2] == pytest.approx([np.log(0.75 / 0.25), np.log(0.2 / 0.8)], abs=1e-5)
    assert found[0, 2] == pytest.approx(found[0, :2].mean(), abs=1e-5)  # nothing is known of it


def test_strengths_beyond_the_bounds_stay_finite() -> None:
    members = np.eye(2, dtype=bool)
    assert np.isfinite(TagPrior(0, members)(np.array([[0.0, 1.0], [-3.0, 4.0]], dtype=np.float32))).all()


def test_columns_of_tags_are_no_inputs() -> None:
    rows = np.arange(5, dtype=np.float32)[None]
    prior = TagPrior(1, np.zeros((3, 2), dtype=bool))
    assert without_tags(rows, [prior]).tolist() == [[0.0, 4.0]]
    assert without_tags(rows, []) is rows


def _table(strong: dict[str, str]) -> Table:
    """Synthetic rows whose tags name their genre, beside vectors of 518 and 384 numbers."""
    content = with_later_kinds(120, efficientat=384)
    classes = tuple(str(name) for name in content["classes"])
    tags = np.full((120, 527), 0.01, dtype=np.float32)
    for label, tag in strong.items():
        tags[content["labels"][:, classes.index(label)], AUDIOSET.index(tag)] = 0.8
    columns = (*map(str, content["columns"]), *COLUMNS, *(f"efficientat_{number:03}" for number in range(384)))
    rows = np.concatenate([content["fma518"], tags, content["efficientat"]], axis=1).astype(np.float32)
    return Table(
        columns, rows, classes, content["labels"], np.asarray(content["group"]), np.full(120, ""),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained() -> tuple[Table, Ensemble]:
    table = _table({"Jazz": "Jazz"})
    recipe = replace(PRIOR_RECIPE, members=("embedding", "key_free_and_embedding"), epochs=4)
    model = mlp_estimator(0, recipe, taxonomy=TAXONOMY).fit(table, None)
    assert isinstance(model, Ensemble)
    return table, model


def test_the_tags_decide_where_the_networks_have_nothing_to_say(trained: tuple[Table, Ensemble]) -> None:
    table, model = trained
    assert model.strengths[0] > 0.5
    place = table.classes.index("Jazz")
    rows = table.rows[:1].copy()
    rows[0, 518 : 518 + 527] = 0.001
    quiet = model.log_probabilities(rows)[0, place]
    rows[0, 518 + AUDIOSET.index("Jazz")] = 0.95
    assert model.log_probabilities(rows)[0, place] > quiet + 1.0


def test_an_ensemble_with_priors_comes_back_as_it_was(trained: tuple[Table, Ensemble]) -> None:
    table, model = trained
    again = restored(model.description(), model.arrays(), table.rows.shape[1], len(table.classes))
    assert np.array_equal(again.log_probabilities(table.rows), model.log_probabilities(table.rows))
    for name in ("prior.0", "strengths", "range.axes", "range.rows"):
        broken = {**model.arrays(), name: model.arrays()[name][:-1]}
        if name != "range.rows":
            with pytest.raises(ValueError, match=r"array|prior|fit|range"):
                restored(model.description(), broken, table.rows.shape[1], len(table.classes))
        without = {key: array for key, array in model.arrays().items() if key != name}
        with pytest.raises((ValueError, KeyError)):
            restored(model.description(), without, table.rows.shape[1], len(table.classes))


def test_medians_are_known_of_all_columns_but_the_tags(trained: tuple[Table, Ensemble]) -> None:
    table, model = trained
    found = model.medians(table.rows.shape[1])
    known = ~np.isnan(found).all(axis=0)
    assert not known[518 : 518 + 527].any()
    assert known[518 + 527 :].all()


def test_confidence_falls_where_tags_and_networks_disagree(trained: tuple[Table, Ensemble]) -> None:
    table, model = trained
    odds = np.zeros((2, 1, len(table.classes)))
    found = np.log(np.full((2, len(table.classes)), 0.05 / (len(table.classes) - 1)))
    found[:, 0] = np.log(0.95)
    odds[0, 0, 0], odds[1, 0, 1] = 5.0, 5.0
    scaled = {name: np.zeros((2, scale.knots.shape[1]), dtype=np.float32) for name, scale in model.scales.items()}
    agree, disagree = replace(model, limits=None)._flattening(found, odds, scaled)
    assert 1.0 <= agree < disagree
