"""The NumPy network and its front end equal the same written in torch, with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors import efficientat
from music_reclass.extractors.mel import efficientat_input, hann, mel_filters
from tests.extractors.small_models import random_efficientat

# kernel, stride and whether hardswish (else ReLU) of the fifteen blocks of MobileNetV3-Large
BLOCKS = [
    (3, 1, 0), (3, 2, 0), (3, 1, 0), (5, 2, 0), (5, 1, 0), (5, 1, 0), (3, 2, 1), (3, 1, 1), (3, 1, 1), (3, 1, 1),
    (3, 1, 1), (3, 1, 1), (5, 2, 1), (5, 1, 1), (5, 1, 1),
]  # fmt: skip


def in_torch(tensors, mel):
    """EfficientAT as its authors describe it, layer by layer, nothing folded and nothing exchanged."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    t = {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}

    def convolved(x, name, stride=1):
        weight, norm = t[f"{name}.0.weight"], f"{name}.1"
        groups = x.shape[1] // weight.shape[1]
        x = f.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
        return f.batch_norm(
            x, t[f"{norm}.running_mean"], t[f"{norm}.running_var"], t[f"{norm}.weight"], t[f"{norm}.bias"], eps=1e-3
        )

    def dense(x, name):
        return f.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    x = f.hardswish(convolved(torch.from_numpy(mel)[None, None], "features.0", 2))
    for number, (kernel, stride, hardswish) in enumerate(BLOCKS, 1):
        before, act = x, f.hardswish if hardswish else f.relu
        for part in range(4):
            name = f"features.{number}.block.{part}"
            squeeze = f"{name}.conc_se_layers.0"
            if f"{squeeze}.fc1.weight" in t:
                hidden = f.relu(dense(x.mean(dim=(2, 3)), f"{squeeze}.fc1"))
                x = x * torch.sigmoid(dense(hidden, f"{squeeze}.fc2"))[:, :, None, None]
            elif f"{name}.0.weight" in t:
                depthwise = t[f"{name}.0.weight"].shape[1:] == (1, kernel, kernel)
                x = convolved(x, name, stride if depthwise else 1)
                x = x if f"features.{number}.block.{part + 1}.0.weight" not in t and not depthwise else act(x)
        x = x + before if x.shape == before.shape else x
    embedding = f.hardswish(convolved(x, "features.16")).mean(dim=(2, 3))
    logits = dense(f.hardswish(dense(embedding, "classifier.2")), "classifier.5")
    return embedding[0].numpy(), logits[0].numpy()


@pytest.mark.parametrize(("width", "frames"), [(0.4, 1000), (0.4, 101), (0.4, 7), (0.4, 1), (1.0, 250)])
def test_it_computes_what_torch_computes_for_any_width_and_length(width, frames):
    tensors = random_efficientat(width)
    mel = np.random.default_rng(1).normal(size=(128, frames)).astype(np.float32)
    embedding, logits = efficientat.EfficientatNet(tensors).outputs(mel)
    wanted, wanted_logits = in_torch(tensors, mel)
    assert np.allclose(embedding, wanted, atol=1e-4 * np.abs(wanted).max())
    assert np.allclose(logits, wanted_logits, atol=1e-4 * np.abs(wanted_logits).max())


def test_the_front_end_is_torchs_spectrum_after_pre_emphasis():
    torch = pytest.importorskip("torch")
    samples = np.random.default_rng(2).uniform(-0.5, 0.5, 40000).astype(np.float32)
    wave = torch.from_numpy(samples[1:].astype(np.float64) - 0.97 * samples[:-1])
    window = torch.from_numpy(hann(800, periodic=False))
    spectrum = torch.stft(wave, 1024, 320, 800, window, center=True, pad_mode="reflect", return_complex=True)
    mel = mel_filters("kaldi", 32000, 1024, (128, 0.0, 15000.0)).T @ spectrum.abs().numpy() ** 2
    assert np.allclose(efficientat_input(samples), (np.log(mel + 1e-5) + 4.5) / 5, atol=2e-4)


def test_nothing_above_15_khz_is_taken_in():
    filters = mel_filters("kaldi", 32000, 1024, (128, 0.0, 15000.0))
    assert filters.shape == (513, 128)
    assert not filters[481:].any()
    assert filters[:480].sum(axis=0).all()


def test_subnormal_weights_count_as_zero():
    tensors = random_efficientat()
    tiny = {name: tensor.copy() for name, tensor in tensors.items()}
    zero = {name: tensor.copy() for name, tensor in tensors.items()}
    tiny["features.16.0.weight"][:, 0] = 1e-42
    zero["features.16.0.weight"][:, 0] = 0
    layers = [efficientat.EfficientatNet(changed)._last.weight for changed in (tiny, zero)]
    assert np.array_equal(*layers)


def test_work_in_groups_of_channels_gives_what_all_at_once_give(monkeypatch):
    net = efficientat.EfficientatNet(random_efficientat())
    mel = np.random.default_rng(1).normal(size=(128, 130)).astype(np.float32)
    together = net.outputs(mel)
    monkeypatch.setattr(efficientat, "_CACHE", 5000)
    assert all(np.allclose(*pair, atol=1e-4) for pair in zip(together, net.outputs(mel), strict=True))
