"""What every extractor with a network inherits: clean windows in, the mean of their rows out."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from music_reclass.domain import FeatureKind
from music_reclass.errors import FailTrack, ReclassError, SkipTrack
from music_reclass.extractors.network import FORMATS, NetworkExtractor, in_format, load_exactly, slopes_file
from music_reclass.extractors.weights.store import Installed


class Sums:
    """A network whose row is the sum and the length of a window."""

    def map(self, windows):
        for window in windows:
            yield np.array([window.sum(), len(window)], np.float32)


class Halves(NetworkExtractor):
    """Two windows of each recording."""

    rate = 8000
    kind = FeatureKind("halves", "1", 2, "mid30")

    def __init__(self):
        self.network = Sums()
        self.seen = []

    def cut(self, samples):
        self.seen.append(samples)
        return samples[: len(samples) // 2 * 2].reshape(2, -1)


def test_the_vector_is_the_mean_over_the_windows():
    vector = Halves().vector(np.arange(8, dtype=np.float32))
    assert vector.tolist() == [14.0, 4.0]
    assert vector.dtype == np.float32


def test_no_sample_is_skipped_before_anything_is_cut():
    extractor = Halves()
    with pytest.raises(SkipTrack, match="no_audio"):
        extractor.windows(np.zeros(0, np.float32))
    assert extractor.seen == []


def test_samples_that_are_no_numbers_are_mended_before_they_are_cut():
    extractor = Halves()
    extractor.windows(np.array([np.nan, np.inf, -np.inf, 0.5], np.float32))
    assert extractor.seen[0].tolist() == [0.0, 1.0, -1.0, 0.5]


def test_rows_that_are_not_finite_fail_the_track():
    with pytest.raises(FailTrack, match="not finite"):
        Halves().pool(np.full((2, 2), np.inf, np.float32))


def test_slopes_of_all_models_share_a_file(tmp_path):
    models = [Installed(tmp_path / name, name, "d" * 64, 1, 1, "", "", "") for name in ("mert", "jmla")]
    assert {slopes_file(model) for model in models} == {tmp_path / "slopes.json"}


def layer(torch, **kind):
    return torch.nn.Linear(3, 2, **kind)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_are_loaded_exactly_or_not_at_all(change):
    torch = pytest.importorskip("torch")
    tensors = {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}
    model = load_exactly(layer(torch), tensors.items(), "a layer")
    assert not model.training
    assert model(torch.ones(1, 3)).tolist() == [[3.0, 3.0]]
    if change == "missing":
        del tensors["bias"]
    elif change == "extra":
        tensors["more"] = np.zeros(1, np.float32)
    else:
        tensors["bias"] = np.zeros(3, np.float32)
    with pytest.raises(ReclassError, match="do not fit a layer"):
        load_exactly(layer(torch), tensors.items(), "a layer")


def test_weights_come_one_at_a_time_each_into_the_format_of_its_place():
    torch = pytest.importorskip("torch")
    held = []

    def tensors():
        for name, shape in (("weight", (2, 3)), ("bias", (2,))):
            array = np.ones(shape, np.float32)
            assert all(former() is None for former in held)
            held.append(weakref.ref(array))
            yield name, array
            del array

    model = load_exactly(layer(torch, device="meta", dtype=torch.bfloat16), tensors(), "a layer")
    assert {tensor.dtype for tensor in model.parameters()} == {torch.bfloat16}
    assert not any(tensor.is_meta or tensor.requires_grad for tensor in model.parameters())
    assert model(torch.ones(1, 3).bfloat16()).tolist() == [[4.0, 4.0]]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_format_is_that_of_all_weights(precision):
    torch = pytest.importorskip("torch")
    made = in_format(layer(torch), precision)
    assert {tensor.dtype for tensor in made.parameters()} == {getattr(torch, FORMATS[precision])}
