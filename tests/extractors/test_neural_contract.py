"""The neural extractors keep the contract of all extractors, and what batches add to it."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.errors import SkipTrack
from music_reclass.extractors.audio import load as audio
from music_reclass.extractors.device import Placement
from music_reclass.extractors.registry import EXCERPTS
from tests.extractors import small_models
from tests.extractors.contract import ExtractorContract


def sound(rate, seconds, seed=0):
    time = np.arange(int(rate * seconds)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (110 + 50 * seed) * time)
    return (tone + 0.02 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


class NeuralContract(ExtractorContract):
    """Subclass it with a method `make`."""

    # `full` may have more windows; which of the excerpts of 30 s it is, an extractor cannot tell from the samples
    @pytest.fixture(params=["mid30", "full"])
    def extractor(self, request, tmp_path, monkeypatch):
        monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
        return self.make(request.param)

    def make(self, excerpt):
        raise NotImplementedError

    @pytest.mark.parametrize("extractor", EXCERPTS, indirect=True)
    def test_a_stereo_file_goes_from_disk_to_vector(self, extractor, tmp_path_factory):
        super().test_a_stereo_file_goes_from_disk_to_vector(extractor, tmp_path_factory)

    def test_another_instance_gives_the_same_numbers(self, extractor):
        samples = sound(extractor.rate, 12)
        other = self.make(extractor.kind.excerpt)
        assert np.array_equal(extractor.vector(samples), other.vector(samples))
        assert extractor.kind == other.kind

    def test_one_sample_and_wild_values_give_finite_numbers(self, extractor):
        wild = sound(extractor.rate, 6)
        wild[100], wild[200], wild[300] = np.nan, np.inf, 1e9
        for samples in (np.ones(1, np.float32), wild):
            assert np.isfinite(extractor.vector(samples)).all()

    def test_no_sample_at_all_is_skipped(self, extractor):
        with pytest.raises(SkipTrack, match="no_audio"):
            extractor.vector(np.zeros(0, np.float32))

    def test_a_stereo_file_is_heard_as_the_mean_of_its_channels(self, extractor, tmp_path):
        import soundfile

        one, other = (np.round(sound(extractor.rate, 6, seed) * 16384) / 32768 for seed in (1, 2))
        soundfile.write(tmp_path / "stereo.flac", np.stack([one, other], axis=1), extractor.rate)
        samples = audio.load(tmp_path / "stereo.flac", "mid30", extractor.rate).samples
        mean = ((one + other) / 2).astype(np.float32)
        assert np.allclose(extractor.vector(samples), extractor.vector(mean), atol=1e-5)

    def test_windows_together_give_what_each_gives_alone_and_in_order(self, extractor):
        sounds = [sound(extractor.rate, 10, seed) for seed in range(3)]
        rows, windows = self.rows_of(extractor, sounds)
        alone = [row for window in windows for row in rows(window[None])]
        assert np.allclose(rows(windows), alone, atol=2e-5)
        assert np.allclose(rows(windows[::-1])[::-1], alone, atol=2e-5)

    def rows_of(self, extractor, sounds):
        """The function from windows to rows, and some windows."""
        windows = np.concatenate([extractor.windows(samples) for samples in sounds])
        return lambda some: np.stack(extractor.network._rows(list(some))), windows


class TestMusicnn(NeuralContract):
    def make(self, excerpt):
        return small_models.small_musicnn(excerpt)

    def rows_of(self, extractor, sounds):
        return extractor._loaded().embed, np.stack([samples[:48000] for samples in sounds])


class TestMusicnnTags(NeuralContract):
    @pytest.fixture(params=["mid30"])  # it is Musicnn in all else
    def extractor(self, request, tmp_path, monkeypatch):
        monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
        return self.make(request.param)

    def make(self, excerpt):
        return small_models.small_musicnn_tags(excerpt)

    def rows_of(self, extractor, sounds):
        net = extractor._musicnn._loaded()
        return lambda some: net.tags(net.embed(some)), np.stack([samples[:48000] for samples in sounds])


class TestEfficientat(NeuralContract):
    def make(self, excerpt):
        return small_models.small_efficientat(excerpt)

    def rows_of(self, extractor, sounds):
        return lambda some: np.stack([extractor.vector(one) for one in some]), np.stack(sounds)


class TestEfficientatTags(TestEfficientat):
    @pytest.fixture(params=["mid30"])  # it is Efficientat in all else
    def extractor(self, request, tmp_path, monkeypatch):
        monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
        return self.make(request.param)

    def make(self, excerpt):
        return small_models.small_efficientat(excerpt, tags=True)


class TestMert(NeuralContract):
    def make(self, excerpt):
        pytest.importorskip("transformers")
        return small_models.small_mert(excerpt)


class TestJmla(NeuralContract):
    def make(self, excerpt):
        pytest.importorskip("torch")
        return small_models.small_jmla(excerpt)


class TestAstTags(NeuralContract):
    def make(self, excerpt):
        pytest.importorskip("transformers")
        return small_models.small_ast(excerpt)


class TestGenreHubert(NeuralContract):
    def make(self, excerpt):
        pytest.importorskip("transformers")
        return small_models.small_genre_hubert(excerpt)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("make", ["small_mert", "small_jmla", "small_ast", "small_genre_hubert"])
@pytest.mark.parametrize(("loudness", "offset"), [(1.0, 0.5), (3.0, 0.0), (1e-2, 0.0)], ids=["DC", "loud", "quiet"])
def test_a_vector_in_a_short_format_is_that_of_float32(make, precision, loudness, offset, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    exact, short = (getattr(small_models, make)(placement=Placement("cpu", "", own)) for own in ("fp32", precision))
    samples = (loudness * sound(exact.rate, 5) + offset).astype(np.float32)
    one, other = exact.vector(samples).astype(float), short.vector(samples).astype(float)
    assert short.network.precision == precision
    assert 1 - one @ other / np.linalg.norm(one) / np.linalg.norm(other) < 1e-4
