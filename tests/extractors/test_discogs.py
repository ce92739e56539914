"""Discogs-EffNet on a graph of the published inputs and outputs: patches, means, what is refused, 400 styles."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from music_reclass.errors import MissingExtra, ReclassError
from music_reclass.extractors import discogs
from music_reclass.extractors.mel import discogs_mel
from music_reclass.extractors.registry import extractor, network_kinds
from music_reclass.extractors.weights import catalogue, install, store
from music_reclass.extractors.weights.store import MissingWeights
from music_reclass.taxonomy import load
from tests.extractors import small_models
from tests.extractors.contract import ExtractorContract

MODEL = catalogue.model("discogs-effnet")


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * 16000))).astype(np.float32)


class TestContract(ExtractorContract):
    @pytest.fixture(params=[(kind, excerpt) for kind in MODEL.kinds for excerpt in ("mid30", "full")], ids=":".join)
    def extractor(self, request, tmp_path):
        small_models.install_discogs(tmp_path / "page")
        return extractor(*request.param)


def test_both_kinds_are_the_means_of_the_networks_outputs_over_patches_of_128_frames_every_62(tmp_path):
    arrays = small_models.install_discogs(tmp_path)
    samples = noise(6)
    mel = discogs_mel(samples)
    assert mel.shape == (1 + 6 * 16000 // 256, 96)
    starts = range(0, len(mel) - 127, 62)
    assert len(starts) == 5
    means = np.stack([mel[start : start + 128].mean(axis=0) for start in starts])
    styles = 1 / (1 + np.exp(-(means @ arrays["to_styles"] + arrays["bias"])))
    numbers = np.maximum(means @ arrays["to_numbers"], 0)
    assert np.allclose(extractor("discogs-styles", "mid30").vector(samples), styles.mean(axis=0), atol=1e-5)
    assert np.allclose(extractor("discogs", "mid30").vector(samples), numbers.mean(axis=0), atol=1e-5)


def test_a_long_recording_is_computed_in_batches_to_the_same_numbers(tmp_path, monkeypatch):
    small_models.install_discogs(tmp_path)
    samples = noise(40)
    together = extractor("discogs", "full").vector(samples)
    monkeypatch.setattr(discogs, "_AT_ONCE", 3)
    assert np.allclose(extractor("discogs", "full").vector(samples), together, atol=1e-6)


def test_a_recording_shorter_than_a_patch_is_repeated(tmp_path):
    assert discogs.patches(noise(0.5)).shape == (1, 128, 96)
    small_models.install_discogs(tmp_path)
    half = noise(0.5)
    found = extractor("discogs", "mid30")
    assert np.allclose(found.vector(half), found.vector(np.tile(half, 5)[:32512]), atol=1e-6)


def test_it_runs_in_workers_with_one_thread_each(tmp_path, monkeypatch):
    import onnxruntime

    assert not {"discogs", "discogs-styles"} & network_kinds()
    small_models.install_discogs(tmp_path)
    seen = []
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *args, **more: seen.append((args, more)) or real(*args, **more)
    )
    extractor("discogs", "mid30").vector(noise(3))
    (((_, options), more),) = seen
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert more == {"providers": ["CPUExecutionProvider"]}


def test_without_the_runtime_the_extra_is_named(tmp_path, monkeypatch):
    with pytest.raises(MissingWeights, match="reclass models download discogs-effnet"):
        extractor("discogs-styles", "mid30")
    small_models.install_discogs(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"music_reclass\[onnx\]"):
        extractor("discogs-styles", "mid30")


def test_an_installed_graph_is_kept_as_it_was_and_checks_itself(tmp_path):
    small_models.discogs_graph(tmp_path / "page" / MODEL.files[0].name)
    with pytest.raises(ReclassError, match=r"not the published.*--trust"):
        install.from_disk(MODEL, tmp_path / "page")
    installed = install.from_disk(MODEL, tmp_path / "page", trust=True)
    content = (tmp_path / "page" / MODEL.files[0].name).read_bytes()
    assert installed.weights.read_bytes() == content
    assert installed.digest == installed.source == hashlib.sha256(content).hexdigest()
    assert store.needed("discogs-effnet") == installed
    assert extractor("discogs", "mid30").kind.version == f"1-{installed.digest[:8]}"
    checks = {check.name: check.fine for check in install.self_check(MODEL, small_models.ON_CPU)}
    assert checks.keys() >= {"digest", "graph", "discogs shape", "discogs-styles repeats"}
    assert all(checks.values())
    installed.weights.write_bytes(b"damaged")
    with pytest.raises(ReclassError, match="cannot be run"):
        list(install.self_check(MODEL, small_models.ON_CPU))


def test_a_graph_of_another_shape_is_refused_and_nothing_is_installed(tmp_path):
    small_models.discogs_graph(tmp_path / "bs64.onnx", batch=64)
    with pytest.raises(ReclassError, match=r"any number of patches at once: its input is .*64.*bsdynamic"):
        install.from_disk(MODEL, tmp_path / "bs64.onnx", trust=True)
    small_models.discogs_graph(tmp_path / "few.onnx", activations=50)
    with pytest.raises(ReclassError, match=r"its output is activations .*50"):
        install.from_disk(MODEL, tmp_path / "few.onnx", trust=True)
    (tmp_path / "no.onnx").write_bytes(b"not a graph")
    with pytest.raises(ReclassError, match=r"no\.onnx cannot be run by ONNX Runtime"):
        install.from_disk(MODEL, tmp_path / "no.onnx", trust=True)
    assert store.find("discogs-effnet") is None


def test_there_are_400_styles_in_the_models_order_and_each_is_a_genre_of_the_taxonomy():
    taxonomy, table = load(), discogs.style_table()
    names = discogs.style_names()
    assert len(names) == 400
    assert names[0] == "Blues---Boogie Woogie"
    assert names[-1] == "Stage & Screen---Theme"
    assert list(names) == sorted(names), "the model's outputs are in the order of their names"
    digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()
    assert digest == "a2a2d4b049117e113976e9e805a5d48f2af7afbbd065ffb7ad37a2fca7415a61"
    assert all(taxonomy.canonical(genre) == genre for genre in table["styles"].values())
    assert all(taxonomy.canonical(genre) == genre for genre in table["genres"].values())
    assert {name.split("---")[0] for name in names} == table["genres"].keys()


def test_nothing_is_downloaded_that_could_not_be_checked(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(install, "fetch", lambda *_: pytest.fail("it was downloaded"))
    with pytest.raises(MissingExtra, match=r"music_reclass\[onnx\]"):
        install.from_internet(MODEL, lambda count: None)
