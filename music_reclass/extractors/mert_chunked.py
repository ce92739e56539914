"""MERT's convolutional front end computed in chunks: less memory, the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from music_reclass.utils.lazy import require


@contextmanager
def chunked_convolutions(model: Any, chunks: int) -> Iterator[None]:
    """Within the block the HubertModel `model` computes its convolutions in so many chunks.

    MemoryError, as if it had not fitted, for a model whose first norm is none over time.
    """
    nn = require("torch", "neural").nn
    whole = model.feature_extractor
    first = whole.conv_layers[0]
    norm = getattr(first, "layer_norm", None)
    if not isinstance(norm, nn.GroupNorm) or norm.num_groups != norm.num_channels:
        raise MemoryError("these convolutions cannot be computed in chunks")

    class InChunks(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, waves: Any) -> Any:
            return _features(whole.conv_layers, waves[:, None], chunks)

    model.feature_extractor = InChunks()
    try:
        yield
    finally:
        model.feature_extractor = whole


def _features(layers: Any, waves: Any, chunks: int) -> Any:
    """What the convolutions make of waves (n, 1, samples): (n, channels, frames)."""
    torch = require("torch", "neural")
    first, rest = layers[0], list(layers[1:])
    mean, variance = _statistics(first.conv, waves, chunks)
    scale = first.layer_norm.weight[:, None] / torch.sqrt(variance + first.layer_norm.eps)
    shift = first.layer_norm.bias[:, None] - mean * scale
    done = []
    for chunk in _cut([layer.conv for layer in layers], waves, chunks):
        hidden = first.activation(first.conv(chunk).float() * scale + shift)
        for layer in rest:
            hidden = layer(hidden)
        done.append(hidden)
    return torch.cat(done, dim=-1)


def _statistics(conv: Any, waves: Any, chunks: int) -> tuple[Any, Any]:
    """Mean and variance over time of each channel that leaves `conv`, both (n, channels, 1)."""
    torch = require("torch", "neural")
    count, mean, spread = 0, 0.0, 0.0  # spread: the sum of squared distances from the mean
    for chunk in _cut([conv], waves, chunks):
        hidden = conv(chunk).float()
        chunk_mean = hidden.mean(dim=-1, keepdim=True)
        chunk_count = hidden.shape[-1]
        gap = chunk_mean - mean
        total = count + chunk_count
        # Chan, Golub, LeVeque 1979: a sum of squares would lose the digits that matter.
        spread = (
            spread + torch.square(hidden - chunk_mean).sum(-1, keepdim=True) + gap**2 * (count * chunk_count / total)
        )
        mean = mean + gap * (chunk_count / total)
        count = total
    return mean, spread / count


def _cut(convs: list[Any], waves: Any, chunks: int) -> Iterator[Any]:
    """The samples behind equal parts of what `convs` put out, one after the other; neighbours overlap."""
    stride, field = 1, 1
    for conv in reversed(convs):
        stride, field = stride * conv.stride[0], (field - 1) * conv.stride[0] + conv.kernel_size[0]
    frames = (waves.shape[-1] - field) // stride + 1
    step = -(-frames // chunks)
    for start in range(0, frames, step):
        end = min(start + step, frames)
        yield waves[..., start * stride : (end - 1) * stride + field]
