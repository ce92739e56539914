"""An ensemble goes into arrays and comes back."""

import numpy as np
import pytest

from music_reclass.models.mlp import Ensemble, restored, rounded
from music_reclass.models.transforms import INPUTS, QuantileScale


def _ensemble() -> tuple[Ensemble, np.ndarray]:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(40, 518)).astype(np.float32)
    scales = {name: QuantileScale.fit(made(rows)) for name, made in INPUTS.items()}
    members = []
    for name in ("key_free", "unchanged", "key_free"):
        width = scales[name].knots.shape[1]
        shapes = ((width, 6), (6, 3))
        layers = tuple(
            (generator.normal(size=shape).astype(np.float32) / 9, generator.normal(size=shape[1]).astype(np.float32))
            for shape in shapes
        )
        members.append((name, rounded(layers)))
    return Ensemble(scales, tuple(members)), rows


def test_an_ensemble_scores_the_same_after_it_was_written_down() -> None:
    ensemble, rows = _ensemble()
    again = restored(ensemble.description(), ensemble.arrays(), 518, 3)
    assert np.array_equal(again.log_probabilities(rows), ensemble.log_probabilities(rows))


def test_the_scores_are_log_probabilities() -> None:
    ensemble, rows = _ensemble()
    assert np.allclose(np.exp(ensemble.log_probabilities(rows)).sum(axis=1), 1.0)


@pytest.mark.parametrize(("columns", "labels"), [(518, 4), (500, 3)])
def test_arrays_for_other_rows_or_labels_are_refused(columns: int, labels: int) -> None:
    ensemble, _ = _ensemble()
    with pytest.raises((ValueError, KeyError)):
        restored(ensemble.description(), ensemble.arrays(), columns, labels)


def test_knots_that_do_not_rise_are_refused() -> None:
    ensemble, _ = _ensemble()
    arrays = ensemble.arrays()
    arrays["key_free.knots"] = arrays["key_free.knots"][::-1]
    with pytest.raises(ValueError, match="rise"):
        restored(ensemble.description(), arrays, 518, 3)
