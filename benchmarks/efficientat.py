"""What EfficientAT costs for half a minute of sound, NumPy against torch: CPU seconds of the front end and the network.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/efficientat.py [--width 1.0] [--profile]

Random weights in the exact architecture (values do not change the work), one thread, three windows of ten seconds;
process time, the best of seven. torch computes the same layers with its own functions, batch normalisation folded in,
and the front end by torch.stft.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from music_reclass.extractors import efficientat
from music_reclass.extractors.mel import EFFICIENTAT, efficientat_input, hann, mel_filters


def random_tensors(width: float) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint of `width` with random values."""
    rng = np.random.default_rng(0)
    made = {}
    for name, shape in efficientat.shapes(width).items():
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 4
        values = rng.uniform(0.5, 1.5, shape) if name.endswith("var") else rng.normal(size=shape) * np.sqrt(2 / fan)
        made[name] = values.astype(np.float32)
    return made


class TorchNet:
    """The network by torch's functions, from the tensors of a checkpoint."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(1)
        self.f = self.torch.nn.functional
        self.t = {name: self.torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()}
        self.folded = {}
        for name in [key.removesuffix(".1.running_var") for key in tensors if key.endswith(".1.running_var")]:
            scale = self.t[f"{name}.1.weight"] / self.torch.sqrt(self.t[f"{name}.1.running_var"] + 1e-3)
            bias = self.t[f"{name}.1.bias"] - self.t[f"{name}.1.running_mean"] * scale
            self.folded[name] = (self.t[f"{name}.0.weight"] * scale[:, None, None, None], bias)

    def mel(self, waves: np.ndarray) -> Any:
        """Normalised log-mels (n, 1, 128, frames) of waves (n, samples)."""
        torch, front = self.torch, EFFICIENTAT
        wave = torch.from_numpy(waves)
        wave = wave[:, 1:] - 0.97 * wave[:, :-1]
        window = torch.from_numpy(hann(front.size, periodic=False).astype(np.float32))
        spectrum = torch.stft(wave, front.fft, front.hop, front.size, window, pad_mode="reflect", return_complex=True)
        filters = mel_filters(front.scale, front.rate, front.fft, (front.mels, front.low, front.high))
        power = spectrum.real**2 + spectrum.imag**2
        mel = torch.log(torch.from_numpy(filters.T.astype(np.float32)) @ power + 1e-5)
        return ((mel + 4.5) / 5)[:, None]

    def outputs(self, mel: Any) -> tuple[Any, Any]:
        """Embeddings (n, channels) and logits (n, 527)."""
        f, t = self.f, self.t
        x = f.hardswish(self.convolved(mel, "features.0", stride=2))
        for number, (_, _, _, stride, squeezed, hardswish) in enumerate(efficientat._BLOCKS, 1):
            name, before = f"features.{number}.block", x
            act = f.hardswish if hardswish else f.relu
            parts = sorted({int(key.split(".")[3]) for key in t if key.startswith(f"{name}.")})
            if len(parts) > 2 + squeezed:
                x = act(self.convolved(x, f"{name}.{parts.pop(0)}"))
            x = act(self.convolved(x, f"{name}.{parts.pop(0)}", stride=stride, depthwise=True))
            if squeezed:
                inner = f"{name}.{parts.pop(0)}.conc_se_layers.0"
                hidden = f.relu(f.linear(x.mean(dim=(2, 3)), t[f"{inner}.fc1.weight"], t[f"{inner}.fc1.bias"]))
                gate = self.torch.sigmoid(f.linear(hidden, t[f"{inner}.fc2.weight"], t[f"{inner}.fc2.bias"]))
                x = x * gate[:, :, None, None]
            x = self.convolved(x, f"{name}.{parts.pop(0)}")
            x = x + before if x.shape == before.shape else x
        last = f.hardswish(self.convolved(x, f"features.{len(efficientat._BLOCKS) + 1}")).mean(dim=(2, 3))
        hidden = f.hardswish(f.linear(last, t["classifier.2.weight"], t["classifier.2.bias"]))
        return last, f.linear(hidden, t["classifier.5.weight"], t["classifier.5.bias"])

    def convolved(self, x: Any, name: str, stride: int = 1, depthwise: bool = False) -> Any:
        """The convolution `name` with its normalisation."""
        weight, bias = self.folded[name]
        groups = len(weight) if depthwise else 1
        return self.f.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)


def best(work: Callable[[], Any], times: int = 7) -> float:
    """The shortest process time of `times` calls, in seconds."""
    work()
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=float, default=0.4)
    parser.add_argument("--profile", action="store_true", help="Seconds of each block in NumPy and in torch.")
    options = parser.parse_args()
    tensors = random_tensors(options.width)
    net, reference = efficientat.EfficientatNet(tensors), TorchNet(tensors)
    waves = np.random.default_rng(1).normal(size=(3, 320000)).astype(np.float32) * np.float32(0.1)
    mels = [efficientat_input(wave) for wave in waves]
    with reference.torch.inference_mode():
        inputs = reference.mel(waves)
        ours = np.array([net.outputs(mel)[1] for mel in mels])
        theirs = reference.outputs(inputs)[1].numpy()
        print(f"largest difference of a logit: {np.abs(ours - theirs).max():.1e} of {np.abs(theirs).max():.1f}")
        seconds = {
            "front end": (best(lambda: [efficientat_input(w) for w in waves]), best(lambda: reference.mel(waves))),
            "network": (best(lambda: [net.outputs(m) for m in mels]), best(lambda: reference.outputs(inputs))),
        }
    seconds["together"] = tuple(map(sum, zip(*seconds.values(), strict=True)))
    print(f"{'':<12}{'NumPy s':>9}{'torch s':>9}{'ratio':>7}")
    for name, (numpy, torch) in seconds.items():
        print(f"{name:<12}{numpy:>9.3f}{torch:>9.3f}{numpy / torch:>7.2f}")
    if options.profile:
        profile(net, mels[0])


def profile(net: efficientat.EfficientatNet, mel: np.ndarray) -> None:
    """Milliseconds of each block for one window."""
    values = efficientat._first_convolution(mel, net._first)
    print(f"first      {1e3 * best(lambda: efficientat._first_convolution(mel, net._first)):6.2f} ms")
    for number, block in enumerate(net._blocks, 1):
        took = best(lambda v=values, b=block: efficientat._inverted_residual(v, b))
        values = efficientat._inverted_residual(values, block)
        print(f"block {number:<4} {1e3 * took:6.2f} ms  {values.shape}")


if __name__ == "__main__":
    main()
