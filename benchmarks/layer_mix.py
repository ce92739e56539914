"""Whether a head that learns the mix of a network's layers is worth storing them all: tables with known answers.

OMP_NUM_THREADS=1 python benchmarks/layer_mix.py [own|shared|music]...

Each table has rows (n, 13, width) of eight genres, about two an artist. `own`: every layer has axes of its own;
`shared`: all layers write into the same axes, as in a residual stream without norms; `music`: a HuBERT of 12 layers
with random weights over synthesised music. A network of 128 hidden units learns from 800 rows and is judged on 1,500
of other artists (`music`: 480 and 320). It sees layer 7, the mean of all layers, their mix by a learned softmax (the
head of MERT's authors), all of them end to end, or the one layer that is best on a held-out fifth of the rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

LAYERS, WIDTH, GENRES = 13, 96, 8
FIXED = 7  # what `mert` is
ROWS, JUDGED, SEEDS = 800, 1500, 3
RATE, SECONDS, CLIPS = 24000, 3, 800
MIX_RATE = 10.0  # how much faster the weights of the mix learn; with 1 it is worse, with 30 the same


@dataclass(frozen=True, slots=True)
class Spread:
    """How strongly each layer shows the first and the second half of what tells genres apart, (layers, 2)."""

    name: str
    strength: NDArray[np.float64]


def around(layer: float, width: float, size: float) -> NDArray[np.float64]:
    """A bell over the layers."""
    return size * np.exp(-0.5 * ((np.arange(LAYERS) - layer) / width) ** 2)


def spreads() -> tuple[Spread, ...]:
    """Where the information lies."""
    both = np.ones(2)
    return (
        Spread("layer 7 alone", around(7, 0.3, 0.8)[:, None] * both),
        Spread("a bell around layer 7", around(7, 2.5, 0.6)[:, None] * both),
        Spread("all layers alike", np.full((LAYERS, 2), 0.45)),
        Spread("half in layer 3, half in 11", np.stack([around(3, 0.7, 0.8), around(11, 0.7, 0.8)], axis=1)),
    )


def made(spread: Spread, count: int, seed: int, *, own_axes: bool) -> tuple[Floats, Labels]:
    """Rows and genres; half of the noise is common to all layers, and artists have characters of their own."""
    world, generator = np.random.default_rng(1000), np.random.default_rng(seed)
    axes = [np.linalg.qr(world.normal(size=(WIDTH, WIDTH)))[0] for _ in range(LAYERS)]
    codes = world.normal(size=(GENRES, 10))
    artist = generator.integers(0, count // 2, count)
    genre = generator.integers(0, GENRES, count // 2)[artist]
    character = 0.7 * generator.normal(size=(count // 2, 12))[artist]
    common = generator.normal(size=(count, WIDTH))
    rows = np.empty((count, LAYERS, WIDTH), dtype=np.float32)
    for layer in range(LAYERS):
        state = np.sqrt(0.5) * (common + generator.normal(size=(count, WIDTH)))
        state[:, :10] += codes[genre] * np.repeat(spread.strength[layer], 5)
        state[:, 10:22] += character
        rows[:, layer] = state @ axes[layer] if own_axes else state
    return rows, genre


def clip(genre: int, artist: int, seed: int) -> Floats:
    """Chords, bass and drums: the genre sets how much of each on average, and tempo and timbre; artists vary them."""
    world = np.random.default_rng(50 + genre).uniform(size=8)
    own = np.random.default_rng(10_000 + artist).normal(size=8)
    generator = np.random.default_rng(seed)
    taste = np.clip(world + 0.35 * own + 0.1 * generator.normal(size=8), 0.0, 1.2)
    time = np.arange(RATE * SECONDS) / RATE
    beat = 60.0 / (70 + 90 * taste[0])
    root = 55.0 * 2 ** (generator.integers(0, 12) / 12)
    third = 3 if generator.random() < taste[1] else 4
    parts = [
        np.sin(2 * np.pi * root * step * harmonic * time) * (0.2 + 0.7 * taste[2]) ** harmonic
        for step in (2.0, 2.0 * 2 ** (third / 12), 3.0)
        for harmonic in range(1, 7)
    ]
    chord = np.sum(parts, axis=0) * np.exp(-(time % beat) * 6 * taste[3])
    kick = np.sin(2 * np.pi * 50 * (time % beat)) * np.exp(-(time % beat) * 15) * taste[4]
    hiss = generator.standard_normal(len(time)) * np.exp(-(time % (beat / 2)) * (20 + 60 * taste[5])) * taste[6]
    sound = chord + 3 * kick + 0.5 * hiss + 0.3 * generator.standard_normal(len(time)) * taste[7]
    return (sound / np.abs(sound).max()).astype(np.float32)


def music(seed: int) -> tuple[Floats, Labels]:
    """Mean hidden states of CLIPS clips by a HuBERT in MERT's shape, narrower and with random weights; their genres."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(seed)
    config = HubertConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS - 1, num_attention_heads=4, intermediate_size=4 * WIDTH,
        conv_dim=(64,) * 7, conv_kernel=(10, 3, 3, 3, 3, 2, 2), conv_stride=(5, 2, 2, 2, 2, 2, 2),
        num_conv_pos_embeddings=32, num_conv_pos_embedding_groups=8,
    )  # fmt: skip
    model = HubertModel(config).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(0.05 * torch.randn_like(tensor))
        artist = np.arange(CLIPS) // 2
        genre = np.random.default_rng(seed).integers(0, GENRES, CLIPS)[artist]
        rows = []
        for start in range(0, CLIPS, 16):
            places = range(start, min(start + 16, CLIPS))
            waves = np.stack([clip(int(genre[n]), int(artist[n]), seed * CLIPS + n) for n in places])
            waves = (waves - waves.mean(axis=1, keepdims=True)) / waves.std(axis=1, keepdims=True)
            states = model(torch.tensor(waves), output_hidden_states=True).hidden_states
            rows.append(torch.stack([state.mean(dim=1) for state in states], dim=1).numpy())
    return np.concatenate(rows), genre


class Head(nn.Module):
    """A network of one hidden layer; with `mix` of the weighted sum of rows (n, layers, width), else of (n, width)."""

    def __init__(self, width: int, mix: float = 0.0) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(LAYERS)) if mix else None
        self.mix = mix  # what the mean is multiplied with, to begin with numbers of size one
        self.layers = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(width, 128), nn.ReLU(), nn.Dropout(0.4), nn.Linear(128, GENRES)
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Scores, (n, genres)."""
        if self.weights is not None:
            rows = torch.einsum("nlw,l->nw", rows, torch.softmax(self.weights, dim=0)) * self.mix
        return self.layers(rows)


def fitted(rows: torch.Tensor, genre: torch.Tensor, seed: int, *, mix: bool = False, epochs: int = 60) -> Head:
    """AdamW with a one-cycle rate, as the program's own networks."""
    torch.manual_seed(seed)
    head = Head(rows.shape[-1], float(1 / rows.mean(dim=1).std()) if mix else 0.0)
    groups = [{"params": head.layers.parameters(), "lr": 2e-3, "weight_decay": 1e-2}]
    if head.weights is not None:
        groups.append({"params": [head.weights], "lr": 2e-3 * MIX_RATE, "weight_decay": 0.0})
    optimiser = torch.optim.AdamW(groups)
    steps = epochs * -(-len(rows) // 64)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, [group["lr"] for group in groups], total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(rows)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(head(rows[batch]), genre[batch]).backward()
            optimiser.step()
            rate.step()
    return head.eval()


def compared(known: tuple[Floats, Labels], new: tuple[Floats, Labels], seed: int) -> dict[str, float]:
    """The share of `new` rows that each way to use the layers gets right."""
    mean, spread = known[0].mean(axis=0), known[0].std(axis=0) + 1e-6
    rows, asked = (torch.tensor((part - mean) / spread) for part in (known[0], new[0]))
    genre, right = torch.tensor(known[1]), torch.tensor(new[1])

    def share(head: Head, of: torch.Tensor, truth: torch.Tensor) -> float:
        with torch.no_grad():
            return float((head(of).argmax(dim=1) == truth).float().mean())

    inside = len(rows) * 4 // 5
    tried = [
        share(fitted(rows[:inside, n], genre[:inside], seed, epochs=20), rows[inside:, n], genre[inside:])
        for n in range(LAYERS)
    ]
    best = int(np.argmax(tried))
    size = rows.mean(dim=1).std(dim=0) + 1e-6
    return {
        "layer 7": share(fitted(rows[:, FIXED], genre, seed), asked[:, FIXED], right),
        "mean": share(fitted(rows.mean(dim=1) / size, genre, seed), asked.mean(dim=1) / size, right),
        "learned mix": share(fitted(rows, genre, seed, mix=True), asked, right),
        "end to end": share(fitted(rows.flatten(1), genre, seed), asked.flatten(1), right),
        "best on a held-out fifth": share(fitted(rows[:, best], genre, seed), asked[:, best], right),
    }


def tables(name: str) -> Iterator[tuple[str, Callable[[int], dict[str, float]]]]:
    """What is compared, by its name, for each seed."""
    if name == "music":

        def of_music(seed: int) -> dict[str, float]:
            rows, genre = music(seed)
            inside = CLIPS * 3 // 5
            return compared((rows[:inside], genre[:inside]), (rows[inside:], genre[inside:]), seed)

        yield "random HuBERT over synthesised music", of_music
        return
    for spread in spreads():

        def of_spread(seed: int, spread: Spread = spread) -> dict[str, float]:
            own = name == "own"
            known, new = made(spread, ROWS, 10 + seed, own_axes=own), made(spread, JUDGED, 500 + seed, own_axes=own)
            return compared(known, new, seed)

        yield spread.name, of_spread


def main() -> None:
    """One line a table: the mean over the seeds of what each way gets right."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or ("own", "shared", "music"):
        for number, (title, measure) in enumerate(tables(name)):
            found = [measure(seed) for seed in range(SEEDS)]
            if number == 0:
                print(f"| {name} | {' | '.join(found[0])} |\n|{'---|' * (len(found[0]) + 1)}")
            shown = " | ".join(f"{np.mean([one[way] for one in found]):.3f}" for way in found[0])
            print(f"| {title} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
