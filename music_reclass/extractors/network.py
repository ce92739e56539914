"""A torch network on a device: lazy loading, adaptive batches, short formats; extractors that are such a network."""

from __future__ import annotations

import importlib.util
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import FailTrack, MissingExtra, ReclassError, SkipTrack
from music_reclass.extractors.batching import BatchSize, Slope, Work, adaptive_map, slope_through
from music_reclass.extractors.device import (
    Device,
    Placement,
    choose,
    free_bytes,
    hold_to,
    is_out_of_memory,
    processor,
    relieve,
)
from music_reclass.extractors.weights.store import Installed, read_json, write_json
from music_reclass.extractors.windows import finite
from music_reclass.utils.lazy import require
from music_reclass.utils.workers import network_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.domain import FeatureKind

MOST_ON_CPU = 2  # a larger batch is no faster on a processor and takes more memory
MOST_ON_GPU = 128
CHUNKS = (4, 16)  # into which the work on a window that does not fit is cut, in turn


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a network is: how to build it and how to use it.

    `build(precision)` gives the module on the processor, in that number format (`fp32`, `bf16` or `fp16`).
    `forward(module, batch)` takes a float32 tensor (n, ...), whatever the module's format, and gives float32 (n, ...).
    `slope` is the memory of a batch in float32, as measured or estimated beforehand, `short_slope` in a short format
    (None: half of it); `slopes` is the file that remembers measured ones.
    `in_chunks(module, batch, chunks)` gives what `forward` gives with less memory and more time, where that is known.
    """

    name: str
    build: Callable[[str], Any]
    forward: Callable[[Any, Any], Any]
    slope: Slope
    slopes: Path
    in_chunks: Callable[[Any, Any, int], Any] | None = None
    short_slope: Slope | None = None

    def seed(self, precision: str) -> Slope:
        """The memory of a batch in a number format, before any is measured."""
        if precision == "fp32":
            return self.slope
        return self.short_slope or Slope(self.slope.fixed / 2, self.slope.each / 2)


class Network:
    """Rows for windows, by the network of a blueprint at a placement."""

    def __init__(self, blueprint: Blueprint, placement: Placement) -> None:
        self._blueprint = blueprint
        self._placement = placement
        self._modules: dict[tuple[str, str], Any] = {}  # by device and number format
        self._sizes: dict[tuple[str, str, tuple[int, ...]], BatchSize] = {}
        self._device: Device | None = None
        self._single = placement.precision == "fp32"
        self.decoders = 1  # worker processes that read files for it, and want their share of the processor
        self.chunked = 0  # windows that were computed in chunks, because they did not fit whole

    @property
    def placement(self) -> Placement:
        """What was asked for, perhaps several devices."""
        return self._placement

    @property
    def device(self) -> Device:
        """Where it runs, found out at the first question."""
        if self._device is None:
            torch = require("torch", "neural")
            self._device = choose(self._placement, torch)
            hold_to(self._device, torch, self._placement.memory)
            full_products(torch)
        return self._device

    @property
    def precision(self) -> str:
        """The number format: `bf16`, `fp16`, or `fp32` (also after a short format has overflowed)."""
        if self._single:
            return "fp32"
        wanted = self._placement.precision
        return wanted if wanted != "auto" else self.device.half or "fp32"

    def map(self, windows: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """One row for each window, in order; windows of one shape in a row share batches. OutOfMemory, FailTrack.

        A window that does not fit alone is computed in chunks, or by the processor.
        """
        source = iter(windows)
        first = next(source, None)
        if first is None:
            return
        fallbacks: list[Work[NDArray[np.float32], NDArray[np.float32]]] = []
        if self._blueprint.in_chunks is not None:
            fallbacks += [partial(self._in_chunks, chunks) for chunks in CHUNKS]
        if not self.device.is_cpu:
            fallbacks.append(self._on_processor)
        yield from adaptive_map(
            self._rows,
            itertools.chain([first], source),
            size=self.batch_size(first.shape),
            is_oom=is_out_of_memory,
            relieve=lambda: relieve(require("torch", "neural")),
            fallbacks=fallbacks,
            alike=lambda window: window.shape,
        )

    def batch_size(self, shape: tuple[int, ...]) -> BatchSize:
        """The batch for windows of one shape, predicted from free memory, kept from then on."""
        torch = require("torch", "neural")
        if not self._weights_fit():
            relieve(torch)
            self._device = processor()
        key = (self.device.name, self.precision, shape)
        if key not in self._sizes:
            most = MOST_ON_CPU if self.device.is_cpu else MOST_ON_GPU
            slope = self._slope(torch, shape)
            free, _ = free_bytes(self.device, torch, self._placement.memory)
            self._sizes[key] = BatchSize(slope.fits(free, most), most)
        return self._sizes[key]

    def release(self) -> None:
        """Free the weights; they are loaded again when a window comes."""
        if self._modules:
            self._modules.clear()
            relieve(require("torch", "neural"))

    def _rows(self, batch: list[NDArray[np.float32]], chunks: int = 1) -> list[NDArray[np.float32]]:
        rows = self._computed(batch, self.device, self.precision, chunks)
        if self.precision != "fp32" and not np.isfinite(rows).all():
            self._single = True  # for good: what left the range of a short format once will do so again
            rows = self._computed(batch, self.device, "fp32", chunks)
        return list(rows)

    def _in_chunks(self, chunks: int, batch: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        rows = self._rows(batch, chunks)
        self.chunked += len(batch)
        return rows

    def _on_processor(self, batch: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        return list(self._computed(batch, processor(), "fp32"))

    def _computed(
        self, batch: list[NDArray[np.float32]], device: Device, precision: str, chunks: int = 1
    ) -> NDArray[np.float32]:
        torch = require("torch", "neural")
        module = self._module(device, precision)
        tensor = torch.from_numpy(np.stack(batch))
        if not device.is_cpu:
            tensor = tensor.pin_memory().to(device.name, non_blocking=True)
        with torch.inference_mode(), _threads(torch, self.decoders) if device.is_cpu else nullcontext():
            if chunks > 1 and self._blueprint.in_chunks is not None:
                rows = self._blueprint.in_chunks(module, tensor, chunks)
            else:
                rows = self._blueprint.forward(module, tensor)
        result: NDArray[np.float32] = rows.float().cpu().numpy()
        return result

    def _module(self, device: Device, precision: str) -> Any:
        key = (device.name, precision)
        if key not in self._modules:
            self._modules[key] = self._blueprint.build(precision).eval().to(device.name)
        return self._modules[key]

    def _slope(self, torch: Any, shape: tuple[int, ...]) -> Slope:
        """Memory by batch: measured once on a card and remembered, else the blueprint's."""
        seed = self._blueprint.seed(self.precision)
        if self.device.is_cpu:
            return seed
        key = "|".join((self._blueprint.name, self.precision, "x".join(map(str, shape)), self.device.title))
        known = read_json(self._blueprint.slopes) or {}
        if key in known:
            return Slope(*known[key])
        measured = self._measured(torch, shape)
        if measured is None:
            return seed
        with suppress(OSError):  # a read-only folder: it is measured again next time
            write_json(self._blueprint.slopes, {**known, key: [measured.fixed, measured.each]})
        return measured

    def _measured(self, torch: Any, shape: tuple[int, ...]) -> Slope | None:
        """The slope through the peaks of one and of two windows of noise; None where two do not fit."""
        noise = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
        peaks = []
        for count in (1, 2):
            base = torch.cuda.memory_allocated(self.device.name)
            torch.cuda.reset_peak_memory_stats(self.device.name)
            if not self._fits(list(noise[:count])):
                relieve(torch)
                return None
            peaks.append((count, float(torch.cuda.max_memory_allocated(self.device.name) - base)))
        return slope_through(peaks)

    def _weights_fit(self) -> bool:
        """Load the weights; they take their share of the memory before the rest is counted."""
        try:
            self._module(self.device, self.precision)
        except RuntimeError as error:
            if self.device.is_cpu or not is_out_of_memory(error):
                raise
            return False
        return True

    def _fits(self, batch: list[NDArray[np.float32]]) -> bool:
        try:
            self._computed(batch, self.device, self.precision)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True


@contextmanager
def _threads(torch: Any, decoders: int) -> Iterator[None]:
    """While the block runs, torch computes with the threads that it may have beside so many workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(network_threads(decoders))
    with suppress(RuntimeError):  # it can be said once, before anything ran; nothing here runs side by side
        torch.set_num_interop_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_packages(*names: str) -> None:
    """MissingExtra unless the packages are installed; they are not imported yet."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(f"This needs the package {name}: pip install 'music_reclass[neural]'.")


def finite_row(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """The row; FailTrack where a number of it is not finite even in float32."""
    if not np.isfinite(row).all():
        raise FailTrack("unsupported", "the network gave numbers that are not finite for this recording")
    return row


class NetworkExtractor(ABC):
    """An extractor that is a network over equal windows of a recording: its vector is the mean of their rows."""

    kind: FeatureKind
    rate: int
    network: Network

    @abstractmethod
    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's inputs for at least one finite sample, (n, ...), n >= 1."""

    def windows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's inputs for one recording, (n, ...), n >= 1; SkipTrack for no samples at all."""
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        return self.cut(finite(samples))

    def pool(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean over the windows; FailTrack if it is not finite."""
        return finite_row(rows.mean(axis=0).astype(np.float32))

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector of one recording, float32; SkipTrack for no samples at all."""
        return self.pool(np.stack(list(self.network.map(self.windows(samples)))))


def slopes_file(installed: Installed) -> Path:
    """Where measured memory slopes are kept, for all models together."""
    return installed.folder.parent / "slopes.json"


def full_products(torch: Any) -> None:
    """One rule for matrix products and convolutions on every CUDA card: numbers are multiplied as they are.

    float32 keeps its 24 bits (no TF32, which by torch's own default convolutions would use and products not), and
    sums of short formats are float32. Speed comes from the short formats; float32 is what they fall back to, and
    what was asked for where digits matter.
    """
    torch.backends.cudnn.allow_tf32 = False
    for name in ("allow_tf32", "allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction"):
        setattr(torch.backends.cuda.matmul, name, False)


FORMATS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}  # as torch names them


def in_format(module: Any, precision: str) -> Any:
    """The module with its weights in a number format (`fp32`, `bf16` or `fp16`)."""
    return module.to(getattr(require("torch", "neural"), FORMATS[precision]))


def load_exactly(model: Any, tensors: Iterable[tuple[str, NDArray[Any]]], title: str) -> Any:
    """`model` in evaluation mode with exactly these tensors; ReclassError for a missing, extra or misshapen one.

    It may have been made without memory (`transformer.without_memory`). The tensors come one at a time, and each is
    at once converted to the number format that the model has in its place: never more than one is held in another.
    """
    torch = require("torch", "neural")
    formats = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    state = {}
    for name, tensor in tensors:
        mapped = torch.from_numpy(np.require(tensor, requirements="W"))  # torch warns of what cannot be written
        state[name] = mapped.to(formats.get(name, mapped.dtype), copy=True)
        del mapped
        del tensor  # before the next is read
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        line = str(error).split("\n")[1 if "\n" in str(error) else 0].strip()
        raise ReclassError(f"These weights do not fit {title} ({line}); install the model again.") from error
    return model.eval().requires_grad_(False)
