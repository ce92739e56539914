"""CORAL gives rows the statistics of others, and is kept only where held-out labels say that it helps."""

from dataclasses import replace

import numpy as np
import pytest

from music_reclass.models.linear import Linear, aligned
from music_reclass.taxonomy import load
from music_reclass.training import train as recipes
from music_reclass.training.label_issues import adaptation_helps
from tests.training.test_train import data

TAXONOMY = load()


def test_aligned_rows_have_the_targets_mean_and_covariance() -> None:
    generator = np.random.default_rng(0)
    source = generator.normal(size=(4000, 4)).astype(np.float32)
    mixing = generator.normal(size=(4, 4))
    target = (generator.normal(size=(4000, 4)) @ mixing + 3).astype(np.float32)

    out = aligned(source, target, ridge=1e-6)

    np.testing.assert_allclose(out.mean(axis=0), target.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(np.cov(out, rowvar=False), np.cov(target, rowvar=False), atol=0.02)


def test_it_is_kept_only_where_the_librarys_own_tags_say_so() -> None:
    pytest.importorskip("sklearn")
    known, own = data(240), data(150, seed=9)
    good = recipes.train(known, None, [Linear(strength=0.1)], "fma-linear").bundle
    spoiled = replace(known.table, labels=np.roll(known.table.labels, 1, axis=0))
    bad = recipes.train(replace(known, table=spoiled), None, [Linear(strength=0.1)], "fma-linear").bundle

    assert adaptation_helps(bad, good, own, TAXONOMY)[0]
    kept, sentence = adaptation_helps(good, bad, own, TAXONOMY)
    assert not kept
    assert "not adapted: it foretells" in sentence
    assert not adaptation_helps(good, good, own, TAXONOMY)[0]


def test_too_few_tagged_tracks_decide_nothing() -> None:
    pytest.importorskip("sklearn")
    bundle = recipes.train(data(60), None, [Linear()], "fma-linear").bundle

    assert "30 tagged tracks cannot tell" in adaptation_helps(bundle, bundle, data(30, seed=4), TAXONOMY)[1]
