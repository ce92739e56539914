"""The NumPy network equals the same network written in torch, with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.errors import ReclassError
from music_reclass.extractors import musicnn
from tests.extractors.small_models import random_musicnn


def in_torch(tensors, windows):
    """MusiCNN as its authors describe it, layer by layer, nothing folded and nothing exchanged."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    t = {name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}

    def norm(x, name):
        return f.batch_norm(
            x, t[f"{name}.running_mean"], t[f"{name}.running_var"], t[f"{name}.weight"], t[f"{name}.bias"], eps=1e-5
        )

    def conv(x, name):
        weight = t[f"{name}.conv.weight"]
        return f.relu(norm(f.conv1d(x, weight, t[f"{name}.conv.bias"], padding=weight.shape[2] // 2), f"{name}.bn"))

    spectrum = torch.stft(
        torch.from_numpy(windows), 512, 256, 512, t["spec.spectrogram.window"], center=True, pad_mode="reflect",
        return_complex=True,
    )  # fmt: skip
    mel = 10 * torch.log10((t["spec.mel_scale.fb"].T @ spectrum.abs() ** 2).clamp(min=1e-10))
    mel = norm(mel[:, None], "spec_bn")
    parts = []
    for name in ("layers.0", "layers.1"):
        image = f.conv2d(mel, t[f"{name}.conv.weight"], t[f"{name}.conv.bias"], padding=(0, 3))
        parts.append(f.relu(norm(image, f"{name}.bn")).amax(dim=2))
    parts += [conv(mel.mean(dim=2), name) for name in ("layers.2", "layers.3", "layers.4")]
    front = torch.cat(parts, dim=1)
    first = conv(front, "layer1")
    second = conv(first, "layer2") + first
    third = conv(second, "layer3") + second
    layers = torch.cat([front, first, second, third], dim=1)
    pooled = torch.cat([layers.amax(dim=2), layers.mean(dim=2)], dim=1)
    embedding = f.relu(norm(f.linear(pooled, t["dense1.weight"], t["dense1.bias"]), "bn"))
    tags = torch.sigmoid(f.linear(embedding, t["dense2.weight"], t["dense2.bias"]))
    return embedding.numpy(), tags.numpy()


def test_it_computes_what_torch_computes():
    tensors = random_musicnn()
    windows = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 48000)).astype(np.float32)
    network = musicnn.MusicnnNet(tensors)
    embedding = network.embed(windows)
    wanted, wanted_tags = in_torch(tensors, windows)
    assert np.allclose(embedding, wanted, rtol=1e-4, atol=1e-4)
    assert np.allclose(network.tags(embedding), wanted_tags, atol=1e-5)


def test_subnormal_weights_are_left_out_and_change_no_result():
    """Each costs a processor over a hundred cycles, and the published weights hold 10,000 of them."""
    tensors = random_musicnn()
    plain = musicnn.MusicnnNet(tensors)
    weight = np.array(tensors["layers.0.conv.weight"])
    weight[:, :, 0] = 0
    tensors["layers.0.conv.weight"] = weight
    zeros = musicnn.MusicnnNet(tensors)
    weight = weight.copy()
    weight[:, :, 0] = 1e-40
    tensors["layers.0.conv.weight"] = weight
    network = musicnn.MusicnnNet(tensors)
    windows = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 48000)).astype(np.float32)
    assert np.array_equal(network.embed(windows), zeros.embed(windows))
    assert not np.array_equal(network.embed(windows), plain.embed(windows))
    tiny = np.finfo(np.float32).tiny
    assert not any(((weight != 0) & (np.abs(weight) < tiny)).any() for weight, _, _ in network._vertical)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_a_checkpoint_that_is_not_quite_it_is_refused(change):
    tensors = random_musicnn()
    if change == "missing":
        del tensors["dense2.bias"]
    elif change == "extra":
        tensors["dense3.bias"] = np.zeros(3, np.float32)
    else:
        tensors["dense2.bias"] = np.zeros(51, np.float32)
    with pytest.raises(ReclassError, match=r"dense\d\.bias do not fit"):
        musicnn.canonical(tensors, {})
