"""From data to a bundle: figures on artists it never saw, guarantees, stacks only where they win."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models import bundle as bundles
from music_reclass.models.crossval import Scores
from music_reclass.models.dataset import (
    TEST,
    TRAINING,
    VALIDATION,
    Dataset,
    Raw,
    fma518,
    select_columns,
    to_dataset,
)
from music_reclass.models.mlp import mlp_estimator
from music_reclass.models.precision import PLAIN, PrecisionTarget
from music_reclass.models.stacking import member_weights
from music_reclass.taxonomy import load
from music_reclass.training.evaluate import caveats, columns_used, evaluate_cascade
from music_reclass.training.train import StageRecipe, confusable, train
from tests.training.making import learnable
from tests.training.synthetic import SMALL, stage

NETS = mlp_estimator(recipe=replace(SMALL, epochs=15))


def data(count: int = 240, excerpt: str = "mid30", split: bool = False, seed: int = 0) -> Dataset:
    rows, genres = learnable(count, ("Rock", "Jazz", "Folk"), seed)
    artists = [f"artist {seed} {number // 3}" for number in range(count)]
    parts = [TRAINING, TRAINING, TRAINING, VALIDATION, TEST]
    own = [parts[number // 3 % 5] for number in range(count)] if split else ()
    raw = Raw("made", rows, [(g,) for g in genres], artists, list(map(str, range(count))), fma518(excerpt), own)
    return to_dataset(raw, load())


def test_a_bundle_knows_where_it_comes_from() -> None:
    made = data(excerpt="full")
    result = train(made, stage(NETS), seed=3)
    manifest = result.bundle.manifest

    assert result.bundle.kinds == (fma518("full"),)
    assert manifest["training"]["table"] == made.table.digest
    assert manifest["training"]["estimators"] == ["nets"]
    assert len(manifest["training"]["artists_seen"]) == 80
    assert result.bundle.medians() == pytest.approx(np.median(made.table.rows, axis=0), rel=1e-4, abs=1e-6)
    assert manifest["metrics"]["hit@1 clean"] == round(result.evaluation.accuracy.value, 4) > 0.8
    assert "these very rows" in caveats([result.bundle], made)[0]
    frequency = manifest["frequency"]
    assert list(frequency) == manifest["labels"]
    assert sum(frequency.values()) == pytest.approx(1.0, abs=1e-4)
    assert list(frequency.values()) == pytest.approx(
        made.table.labels.mean(axis=0) / made.table.labels.mean(axis=0).sum(), abs=0.1
    )


def test_labels_that_mostly_come_together_are_named_as_confusable() -> None:
    rows = [("Pop", "Rock")] * 7 + [("Rock",)] * 5 + [("Pop",)] * 3 + [("Jazz", "Pop")] * 3 + [("Jazz",)] * 2
    classes = ("Jazz", "Pop", "Rock")
    labels = np.array([[name in row for name in classes] for row in rows])
    assert confusable(labels, classes) == []  # 7 of 12 rows of Rock carry Pop, 3 of 5 of Jazz
    assert confusable(labels[1:][labels[1:].any(axis=1)], classes) == []
    assert confusable(np.delete(labels, [7, 8], axis=0), classes) == [["Pop", "Rock"]]  # 7 of 10
    assert confusable(labels[:, :1], classes[:1]) == []


def test_with_an_official_split_figures_are_of_its_test_part_alone() -> None:
    result = train(data(split=True), stage(NETS))

    assert result.evaluation.count == 48
    assert evaluate_cascade([result.bundle], data(seed=5), load()).accuracy.value > 0.7


def test_part_of_the_columns_makes_a_bundle_that_takes_whole_rows(tmp_path: Path) -> None:
    from music_reclass.models.linear import linear_estimator

    narrow = select_columns(data(), ["mfcc*", "zcr_mean*"])
    result = train(narrow, stage(linear_estimator(), name="fma-linear"))
    bundles.save(result.bundle, tmp_path / "b")
    back = bundles.load(tmp_path / "b")

    assert columns_used(back) == (*COLUMNS[252:392], "zcr_mean_01")
    assert back.predict_proba(data().table.rows).shape == (240, 3)
    assert evaluate_cascade([back], narrow, load()).count == 240
    with pytest.raises(UsageError, match="No column matches"):
        select_columns(data(), ["nothing*"])


def test_a_stack_that_does_not_win_is_left_out_with_the_numbers() -> None:
    table = data().table
    labels = table.labels
    good, bad = np.where(labels, -0.1, -3.0)[:, None], np.where(labels, -3.0, -0.1)[:, None]
    scores = Scores(np.arange(len(table)), (good, bad), np.arange(len(table)) % 5, folds=True)

    weights, notes = member_weights(scores, table.labels, ["good", "bad"])

    assert weights == (1.0, 0.0)
    assert "left out" in notes[0]
    assert "good 1.0000, bad 0.0000" in notes[0]


def test_a_stack_that_wins_is_kept_with_its_members() -> None:
    table = data().table
    generator = np.random.default_rng(0)
    noisy = [np.where(table.labels, 1.0, 0.0) + generator.normal(scale=0.9, size=table.labels.shape) for _ in range(2)]
    each = tuple((own - np.log(np.exp(own).sum(axis=1, keepdims=True)))[:, None] for own in noisy)
    scores = Scores(np.arange(len(table)), each, np.arange(len(table)) % 5, folds=True)

    weights, notes = member_weights(scores, table.labels, ["one", "two"])

    assert all(weight > 0 for weight in weights)
    assert notes[0].startswith("the stack is")


def test_what_the_user_asks_for_and_cannot_be_certified_is_never_decided() -> None:
    strict = train(data(60), StageRecipe("fma-mlp", ("fma518",), (NETS,), PrecisionTarget.of(0.99))).bundle
    plain = train(data(60), stage(NETS)).bundle

    assert "confident" not in strict.thresholds
    assert "more labelled tracks" in strict.manifest["certificates"]["confident"]["why"]
    assert plain.thresholds["confident"] == PLAIN["confident"]


def test_a_single_genre_teaches_nothing() -> None:
    rows, _ = learnable(20, ("Rock",))
    raw = Raw("made", rows, [("Rock",)] * 20, [str(n) for n in range(20)], [str(n) for n in range(20)], fma518("mid30"))

    with pytest.raises(UsageError, match="single genre"):
        train(to_dataset(raw, load()), stage(NETS))


def test_a_bundle_names_taxonomy_libraries_split_and_licence() -> None:
    made = data(split=True)
    manifest = train(made, stage(NETS), taxonomy="the digest").bundle.manifest

    assert manifest["training"]["taxonomy"] == "the digest"
    assert set(manifest["training"]["versions"]) >= {"reclass", "python", "numpy"}
    assert len(manifest["training"]["split"]) == 64
    assert "data it was trained on" in manifest["licence"]


def test_vectors_of_whole_files_are_not_given_to_a_model_of_excerpts() -> None:
    from music_reclass.classification.voter import Stage
    from music_reclass.errors import BundleError

    bundle = train(data(excerpt="full"), stage(NETS)).bundle
    voter = Stage.from_bundle(bundle, load())

    voter.require(fma518("full"))
    with pytest.raises(BundleError, match="fma518/1/full"):
        voter.require(fma518("mid30"))
    assert any("figures are not what a scan would reach" in text for text in caveats([bundle], data()))
