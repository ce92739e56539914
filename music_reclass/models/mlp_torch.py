"""The wide MLP (518-256-128-n) for large data sets, trained by PyTorch, kept as plain arrays."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Floats, with_augmentations
from music_reclass.models.crossval import grouped_folds
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.mlp import Ensemble, Layers, rounded
from music_reclass.models.transforms import INPUTS, QuantileScale
from music_reclass.utils.lazy import require

_SAVE_SECONDS = 5.0
_FOLDS = 8  # one of them is held out for early stopping


@dataclass(frozen=True, slots=True)
class TorchRecipe:
    """How the wide network is trained. `smoothing` goes to all labels alike; `mixup` is the Beta parameter."""

    hidden: tuple[int, ...] = (256, 128)
    epochs: int = 40
    batch: int = 256
    rate: float = 3e-3
    decay: float = 5e-2
    drop_input: float = 0.1
    drop_hidden: float = 0.4
    smoothing: float = 0.05
    mixup: float = 0.2
    rarity: float = 0.25
    patience: int = 12


@dataclass(frozen=True, slots=True)
class TorchMlp:
    """The estimator. `device` is a torch device; `checkpoints` a folder in which an interrupted fit goes on.

    `live` hears after every epoch how it goes, in one line.
    """

    seed: int = 0
    recipe: TorchRecipe = TorchRecipe()
    device: str = "cpu"
    checkpoints: Path | None = None
    live: Callable[[str], None] | None = None
    name: str = "mlp"

    def fit(self, table: Table, augmentations: Augmentations | None) -> Ensemble:
        """Stops early by the rows of artists held out within `table`, and keeps the best epoch."""
        torch = require("torch", extra="neural")
        versions = with_augmentations(table, augmentations)
        held = grouped_folds(table.groups, table.labels, _FOLDS, self.seed) == 0
        if held.all() or not held.any():
            held = np.arange(len(table)) % _FOLDS == 0
        scale = QuantileScale.fit(INPUTS["unchanged"](versions[~held].reshape(-1, versions.shape[-1])))
        scaled = scale(versions.reshape(-1, versions.shape[-1])).reshape(versions.shape)
        layers = _Fit(torch, self, scaled, table.labels, held, self._kept(table, augmentations)).run()
        return Ensemble({"unchanged": scale}, (("unchanged", rounded(layers)),))

    def _kept(self, table: Table, augmentations: Augmentations | None) -> Path | None:
        if self.checkpoints is None:
            return None
        words = [table.digest, list(augmentations.names) if augmentations else [], self.seed, asdict(self.recipe)]
        return self.checkpoints / f"{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:24]}.pt"


class _Fit:
    """One fit under way."""

    def __init__(
        self,
        torch: Any,
        own: TorchMlp,
        versions: Floats,
        labels: NDArray[np.bool_],
        held: NDArray[np.bool_],
        kept: Path | None,
    ) -> None:
        self.torch, self.own, self.recipe, self.kept = torch, own, own.recipe, kept
        self.generator = np.random.default_rng(own.seed)
        torch.manual_seed(own.seed)
        self.versions, self.held_rows = versions[~held], self._tensor(versions[held, 0])
        self.held_labels = labels[held]
        frequency = labels[~held].sum(axis=0) + 1.0
        sets = labels[~held] * frequency**-self.recipe.rarity
        self.sets = self._tensor((sets / sets.max()).astype(np.float32))
        self.model = self._network(versions.shape[-1], labels.shape[1]).to(own.device)
        decayed = {"lr": self.recipe.rate, "weight_decay": self.recipe.decay}
        self.optimiser = torch.optim.AdamW(self.model.parameters(), **decayed)
        self.batches = -(-len(self.versions) // self.recipe.batch)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, self.recipe.rate, total_steps=self.recipe.epochs * self.batches
        )
        self.half = own.device.startswith("cuda")
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.half)
        self.epoch, self.best_epoch, self.lowest = 0, 0, float("inf")
        self.best: dict[str, Any] = {}

    def _tensor(self, rows: NDArray[Any]) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(rows)).to(self.own.device)

    def _network(self, columns: int, labels: int) -> Any:
        nn, recipe = self.torch.nn, self.recipe
        parts, width = [nn.Dropout(recipe.drop_input)], columns
        for hidden in recipe.hidden:
            parts += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(recipe.drop_hidden)]
            width = hidden
        return nn.Sequential(*parts, nn.Linear(width, labels))

    def run(self) -> Layers:
        """The layers of the best epoch."""
        self._resume()
        saved = started = time.monotonic()
        first = self.epoch
        while self.epoch < self.recipe.epochs and self.epoch - self.best_epoch < self.recipe.patience:
            loss = self._one_epoch()
            accuracy = self._judge()
            self.epoch += 1
            if self.own.live is not None:
                left = (time.monotonic() - started) / (self.epoch - first) * (self.recipe.epochs - self.epoch)
                self.own.live(
                    f"epoch {self.epoch} of {self.recipe.epochs}  loss {loss:.3f}  held-out artists "
                    f"{accuracy:.3f} right  {left:.0f} s left at most"
                )
            if self.kept is not None and time.monotonic() - saved > _SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        if self.kept is not None:
            self._save()
        self.model.load_state_dict(self.best)
        linear = [part for part in self.model if isinstance(part, self.torch.nn.Linear)]
        return tuple((p.weight.detach().cpu().numpy().T.copy(), p.bias.detach().cpu().numpy().copy()) for p in linear)

    def _one_epoch(self) -> float:
        """One pass over the rows, a version of each; the mean loss."""
        self.model.train()
        count, kinds = self.versions.shape[:2]
        clean = self.generator.random(count) < 0.4
        version = np.where(clean, 0, self.generator.integers(0, kinds, count))
        rows = self._tensor(self.versions[np.arange(count), version])
        order = self.generator.permutation(count)
        losses = []
        for batch in np.array_split(order, self.batches):
            mixed, targets = self._mixed(rows, self._tensor(batch))
            self.optimiser.zero_grad(set_to_none=True)
            with self.torch.autocast("cuda", enabled=self.half):
                scores = self.model(mixed)
            logs = self.torch.log_softmax(scores.float(), dim=1)
            loss = -(targets(logs.detach().exp()) * logs).sum(dim=1).mean()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.schedule.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def _mixed(self, rows: Any, batch: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Rows mixed in pairs, and what to strive for, given what the network says: its own shares within a set."""
        torch, recipe = self.torch, self.recipe
        share = self.generator.beta(recipe.mixup, recipe.mixup, (len(batch), 1)).astype(np.float32)
        share = self._tensor(share)
        other = batch[self._tensor(self.generator.permutation(len(batch)))]

        def within(said: Any, sets: Any) -> Any:
            shares = (said + 1e-6) * sets
            return shares / shares.sum(dim=1, keepdim=True)

        def targets(said: Any) -> Any:
            wanted = share * within(said, self.sets[batch]) + (1 - share) * within(said, self.sets[other])
            return (1 - recipe.smoothing) * wanted + recipe.smoothing / wanted.shape[1]

        return torch.lerp(rows[other], rows[batch], share), targets

    def _judge(self) -> float:
        """The share of held-out rows that are right; remembers the epoch whose log-loss on them is lowest."""
        self.model.eval()
        with self.torch.no_grad():
            likely = self.torch.softmax(self.model(self.held_rows).float(), dim=1).cpu().numpy()
        inside = np.clip((likely * self.held_labels).sum(axis=1), 1e-6, 1.0)
        loss = float(-np.log(inside).mean())
        if loss < self.lowest:
            self.lowest, self.best_epoch = loss, self.epoch + 1
            self.best = {name: values.detach().clone() for name, values in self.model.state_dict().items()}
        return float(self.held_labels[np.arange(len(likely)), likely.argmax(axis=1)].mean())

    def _save(self) -> None:
        """Everything that the rest of the fit depends on, replaced in one step."""
        assert self.kept is not None
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "epoch": self.epoch, "best_epoch": self.best_epoch, "lowest": self.lowest, "best": self.best,
            "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
            "schedule": {k: v for k, v in self.schedule.state_dict().items() if isinstance(v, (int, float))},
            "scaler": self.scaler.state_dict(), "torch": self.torch.get_rng_state(),
            "numpy": json.dumps(self.generator.bit_generator.state),
        }  # fmt: skip
        unfinished = self.kept.with_suffix(".part")
        self.torch.save(state, unfinished)
        unfinished.replace(self.kept)

    def _resume(self) -> None:
        """Go on where an interrupted fit of the very same rows, seed and recipe stopped."""
        if self.kept is None or not self.kept.exists():
            return
        state = self.torch.load(self.kept, map_location=self.own.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.torch.set_rng_state(state["torch"].cpu())
        self.generator.bit_generator.state = json.loads(state["numpy"])
        self.epoch, self.best_epoch, self.lowest = state["epoch"], state["best_epoch"], state["lowest"]
        self.best = state["best"]
