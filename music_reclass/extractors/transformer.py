"""Transformer layers and a vision transformer in plain torch, and checkpoints read into them tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import ReclassError
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATCH = 16


def layer(*, width: int, hidden: int, heads: int, epsilon: float, post_norm: bool = False) -> Any:
    """One layer without weights: tokens (n, count, width) to tokens of the same shape.

    Each half is normalised before it (pre-norm), or what it adds to is normalised after it (`post_norm`).
    LayerNorm and attention accumulate in float32 whatever the format of the tokens.
    """
    nn = require("torch", "neural").nn

    class Attention(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.proj = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            n, tokens, _ = x.shape
            split = self.qkv(x).reshape(n, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(*split)
            return self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))

    class Feedforward(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            widen = nn.Sequential(nn.Linear(width, hidden), nn.GELU())
            self.layers = nn.Sequential(widen, nn.Linear(hidden, width))

        def forward(self, x: Any) -> Any:
            return self.layers(x)

    class Layer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width, eps=epsilon), nn.LayerNorm(width, eps=epsilon)
            self.attn, self.ffn = Attention(), Feedforward()

        def forward(self, x: Any) -> Any:
            if post_norm:
                x = self.ln1(x + self.attn(x))
                return self.ln2(x + self.ffn(x))
            x = x + self.attn(self.ln1(x))
            return x + self.ffn(self.ln2(x))

    return Layer()


def vision_transformer(
    *,
    width: int,
    depth: int,
    heads: int,
    hidden: int,
    tokens: int,
    channels: int = 1,
    stride: int = PATCH,
    summaries: int = 1,
    epsilon: float = 1e-6,
) -> Any:
    """One without weights (pre-norm, arXiv 2010.11929): images (n, channels, height, width) to (n, tokens, width).

    The first `summaries` tokens are learned ones, the others patches of 16 x 16 every `stride` pixels, row by row.
    """
    torch = require("torch", "neural")
    nn = torch.nn

    class Patches(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.projection = nn.Conv2d(channels, width, PATCH, stride=stride)

        def forward(self, x: Any) -> Any:
            return self.projection(x).flatten(2).transpose(1, 2)

    class VisionTransformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cls_token = nn.Parameter(torch.zeros(1, summaries, width))
            # Comes from the file: the sine-cosine grid of JMLA's authors has a quirk that a fresh one would not have.
            self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
            self.patch_embed = Patches()
            self.layers = nn.ModuleList(
                layer(width=width, hidden=hidden, heads=heads, epsilon=epsilon) for _ in range(depth)
            )
            self.ln1 = nn.LayerNorm(width, eps=epsilon)

        def forward(self, images: Any) -> Any:
            x = self.patch_embed(images.to(self.pos_embed.dtype))
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
            for each in self.layers:
                x = each(x)
            return self.ln1(x)

    return VisionTransformer()


def without_memory(make: Callable[[], Any]) -> Any:
    """The module that `make` makes, its tensors without storage (on torch's meta device)."""
    with require("torch", "neural").device("meta"):
        return make()


def renamer(table: tuple[tuple[str, str], ...]) -> Callable[[str], str]:
    """The function that replaces in a name every left text of the table by its right one, in turn."""

    def renamed(name: str) -> str:
        for old, new in table:
            name = name.replace(old, new)
        return name

    return renamed


def joined(
    tensors: Mapping[str, NDArray[Any]], named: Callable[[str], str | None]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors one at a time under the names that `named` gives; those for which it gives None are not read.

    Names that end in `#0`, `#1`, ... are parts of one tensor, which comes whole (queries, keys and values of a layer,
    the summary tokens of a transformer); it is left out where a part is missing.
    """
    parts: dict[str, list[tuple[str, str]]] = {}
    for name in tensors:
        if (ours := named(name)) is not None:
            whole, _, part = ours.partition("#")
            parts.setdefault(whole, []).append((part, name))
    for whole, names in parts.items():
        if names[0][0]:
            if sorted(part for part, _ in names) in (["0", "1"], ["0", "1", "2"]):
                some = [tensors[name] for _, name in sorted(names)]
                yield whole, np.concatenate(some, axis=max(0, some[0].ndim - 2))
        else:
            yield whole, tensors[names[0][1]]


FORMATS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}  # as torch names them


def in_format(module: Any, precision: str) -> Any:
    """The module with its weights in a number format (`fp32`, `bf16` or `fp16`)."""
    return module.to(getattr(require("torch", "neural"), FORMATS[precision]))


def load_exactly(model: Any, tensors: Iterable[tuple[str, NDArray[Any]]], title: str) -> Any:
    """`model` in evaluation mode with exactly these tensors; ReclassError for a missing, extra or misshapen one, and
    for one that holds anything but finite numbers (a file's damage, by which every recording would fail for good).

    It may have been made without memory (`without_memory`). The tensors come one at a time, and each is
    at once converted to the number format that the model has in its place: never more than one is held in another.
    """
    torch = require("torch", "neural")
    formats = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    state = {}
    for name, tensor in tensors:
        if tensor.dtype.kind != "f" or not np.isfinite(tensor).all():
            raise ReclassError(
                f"These weights do not fit {title} ({name} is no tensor of finite numbers); install the model again."
            )
        mapped = torch.from_numpy(np.require(tensor, requirements="W"))  # torch warns of what cannot be written
        state[name] = mapped.to(formats.get(name, mapped.dtype), copy=True)
        del mapped
        del tensor  # before the next is read
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        line = str(error).split("\n")[1 if "\n" in str(error) else 0].strip()[:200]
        raise ReclassError(f"These weights do not fit {title} ({line}); install the model again.") from error
    return model.eval().requires_grad_(False)
