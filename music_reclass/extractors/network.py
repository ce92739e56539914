"""A torch network on a device: lazy loading, adaptive batches, short formats; extractors that are such a network."""

from __future__ import annotations

import errno
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import DeviceError, FailTrack, MissingExtra, ReclassError, SkipTrack, TrackError
from music_reclass.extractors import memory
from music_reclass.extractors.batching import BatchSize, OutOfMemory, Slope, Work, adaptive_map, slope_through
from music_reclass.extractors.device import (
    KERNELS,
    LIBRARY,
    LOST,
    MEMORY,
    RAM_RESERVE,
    Device,
    Placement,
    choose,
    first_line,
    free_bytes,
    hold_to,
    make_room,
    meaning,
    processor,
    relieve,
    say_once,
)
from music_reclass.extractors.weights.store import Installed, read_json, write_json
from music_reclass.extractors.windows import finite
from music_reclass.utils.lazy import absent, broken, require
from music_reclass.utils.workers import network_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.domain import FeatureKind

    Window = NDArray[np.float32]
    Row = NDArray[np.float32]
    Answer = Row | TrackError

MOST_ON_CPU = 2  # a larger batch is no faster on a processor and takes more memory
MOST_ON_CARD = 32  # MERT's products have 12,000 rows by then: a larger batch takes memory and fills no card better
CHUNKS = (4, 16)  # into which the work on a window that does not fit is cut, in turn
WHOLE_SHARE = 0.5  # of a window's memory that chunks do not make smaller, in bfloat16 (benchmarks/neural.py)
OVERFLOWS = 32  # windows that left the range of a short format, after which the run computes in float32
REFUSALS = 2  # errors of cuDNN or cuBLAS over a single window, after which a device is left
GIVEN_UP = 64  # windows in a row that fit nowhere, after which the stage ends


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a network is: how to build it and how to use it.

    `build(precision)` gives the module on the processor, in that number format (`fp32`, `bf16` or `fp16`).
    `forward(module, batch)` takes a float32 tensor (n, ...), whatever the module's format, and gives float32 (n, ...).
    `slope` is the memory of a batch in float32, as measured or estimated beforehand, `short_slope` in a short format
    (None: half of it); `slopes` is the file that remembers measured ones.
    `in_chunks(module, batch, chunks)` gives what `forward` gives with less memory and more time, where that is known.
    `weights` is the size of the weights in float32, in bytes; 0: not known.
    """

    name: str
    build: Callable[[str], Any]
    forward: Callable[[Any, Any], Any]
    slope: Slope
    slopes: Path
    in_chunks: Callable[[Any, Any, int], Any] | None = None
    short_slope: Slope | None = None
    weights: float = 0.0

    def seed(self, precision: str) -> Slope:
        """The memory of a batch in a number format, before any is measured."""
        if precision == "fp32":
            return self.slope
        return self.short_slope or Slope(self.slope.fixed / 2, self.slope.each / 2)

    def weight_bytes(self, precision: str) -> float:
        """What the weights take in a number format."""
        return self.weights if precision == "fp32" else self.weights / 2


def predicted_batch(device: Device, free: float, slope: Slope, weights: float = 0.0) -> int:
    """How many windows a batch has on `device` with so many `free` bytes, if `weights` bytes are still to be loaded.

    0 where the weights or a single window do not fit.
    """
    if device.unified and free < 2 * weights:  # while they are loaded they are there twice
        return 0
    return slope.fits(free - weights, MOST_ON_CPU if device.is_cpu else MOST_ON_CARD)


class Network:
    """Rows for windows, by the network of a blueprint at a placement.

    Where the kernel would end the process if memory ran out (unified memory, the processor), nothing is tried that
    the free memory, read before every batch, does not hold.
    """

    def __init__(self, blueprint: Blueprint, placement: Placement) -> None:
        self._blueprint = blueprint
        self._placement = placement
        self._modules: dict[tuple[str, str], Any] = {}  # by device and number format
        self._sizes: dict[tuple[str, str, tuple[int, ...]], BatchSize] = {}
        self._slopes: dict[tuple[str, str, tuple[int, ...]], Slope] = {}
        self._device: Device | None = None
        self._left: frozenset[str] = frozenset()  # devices that stopped working
        self._single = placement.precision == "fp32"
        self.decoders = 1  # worker processes that read files for it, and want their share of the processor
        self._overflows = self._refusals = self._given_up = 0
        self.chunked = 0  # windows that were computed in chunks, because they did not fit whole

    @property
    def placement(self) -> Placement:
        """What was asked for, perhaps several devices."""
        return self._placement

    @property
    def device(self) -> Device:
        """Where it runs, found out at the first question. UsageError, MissingExtra, DeviceError."""
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
        return wanted if wanted != "auto" and not self._left else self.device.half or "fp32"

    def map(self, windows: Iterable[Window]) -> Iterator[Answer]:
        """One row for each window, in order; windows of one shape in a row share batches.

        A window that does not fit alone is computed in chunks, or by the processor if that has other memory; where
        nothing holds it, FailTrack stands in its row's place. DeviceError where nothing goes any more.
        """
        fallbacks: list[Work[Window, Answer]] = []
        if self._blueprint.in_chunks is not None:
            fallbacks += [partial(self._in_chunks, chunks) for chunks in CHUNKS]
        yield from adaptive_map(
            self._rows,
            windows,
            size=lambda window: self.batch_size(window.shape),
            is_oom=lambda error: meaning(error) in (MEMORY, LIBRARY, KERNELS),
            relieve=lambda: relieve(require("torch", "neural")),
            fallbacks=[*fallbacks, self._on_processor, self._give_up],
            alike=lambda window: window.shape,
        )

    def batch_size(self, shape: tuple[int, ...]) -> BatchSize:
        """The batch for windows of one shape: learned, within what the memory that is free now may hold."""
        torch = require("torch", "neural")
        self._load(torch)
        device, key = self.device, (self.device.name, self.precision, shape)
        if key not in self._sizes:
            slope = self._slope(torch, shape)
            if self.device is not device:  # left while its memory was measured
                return self.batch_size(shape)
            free, _ = free_bytes(device, torch, self._placement.memory)
            most = MOST_ON_CPU if device.is_cpu else MOST_ON_CARD
            start = most if device.ends_silently else predicted_batch(device, free, slope)
            self._slopes[key], self._sizes[key] = slope, BatchSize(start, most)
        size, slope = self._sizes[key], self._slopes[key]
        make_room(device, torch)
        # NVML takes milliseconds, and CUDA alone knows of other programs as well.
        free, _ = free_bytes(device, torch, self._placement.memory, nvml=lambda _: None)
        if device.ends_silently:
            size.limit = slope.fits(free, size.most)
        else:  # an exception comes, so the last fifth may be tried; what cannot fit is not
            size.limit = max(1, slope.fits(free, size.most, share=1.0))
        return size

    def release(self) -> None:
        """Free the weights; they are loaded again when a window comes."""
        if self._modules:
            self._modules.clear()
            relieve(require("torch", "neural"))

    def _rows(self, batch: list[Window], chunks: int = 1) -> list[Answer]:
        device = self.device
        try:
            rows = self._computed(batch, device, self.precision, chunks)
        except (RuntimeError, MemoryError) as error:
            self._judge(error, len(batch))
            if self.device is device:
                raise
            rows = None
        if rows is None:  # the device was left: the next one takes the same windows
            self._load(require("torch", "neural"))
            return [row for window in batch for row in self._one(window, chunks)]
        self._refusals = self._given_up = 0
        answers: list[Answer] = list(rows)
        if self.precision != "fp32":
            for place, row in enumerate(rows):
                if not np.isfinite(row).all():
                    answers[place] = self._in_float32(batch[place])
        return answers

    def _one(self, window: Window, chunks: int) -> list[Answer]:
        if not self._has_room(self.device, self.precision, window):
            raise MemoryError("one window does not fit")
        return self._rows([window], chunks)

    def _judge(self, error: RuntimeError | MemoryError, count: int) -> None:
        """Return where the work on `count` windows may be tried again, fewer at once or on the device that is next.

        DeviceError, MissingExtra with the cure where it may not; what is no matter of devices is raised as it is.
        """
        why, device = meaning(error), self.device
        if "Numpy is not available" in str(error):
            raise MissingExtra(broken("torch", error)) from error
        if why == LOST:
            raise DeviceError(
                f"{device.title} stopped working ({first_line(error)}); what was decided before stands. Start reclass "
                "again, and the machine too if that does not help; --device cpu leaves the card out."
            ) from error
        if why == LIBRARY and count == 1:
            self._refusals += 1
        if why == KERNELS or self._refusals >= REFUSALS:
            self._leave(first_line(error))
        elif not why and not device.is_cpu:
            raise DeviceError(
                f"{device.title} failed ({first_line(error)}); what was decided before stands. Try --device cpu, and "
                "report this if it works there."
            ) from error
        elif not why:
            raise error

    def _leave(self, why: str) -> None:
        """Go on on the next device; DeviceError where there is none that may be used."""
        torch, before = require("torch", "neural"), self.device
        if before.is_cpu:
            raise DeviceError(
                f"Networks cannot run on the processor ({why}); close other programs if memory is short, else install "
                "torch again. What was decided before stands."
            )
        if self._placement.each[0].device != "auto":
            raise DeviceError(
                f"{before.title} is of no use ({why}); what was decided before stands. Scan with --device auto or "
                "--device cpu."
            )
        self._go_on(choose(self._placement, torch, self._left | {before.name}), why)

    def _go_on(self, device: Device, why: str) -> None:
        before = self.device
        self._left |= {before.name}
        self._refusals = 0
        self._modules.clear()
        self._device = device
        hold_to(device, require("torch", "neural"), self._placement.memory)
        say_once(f"{before.title} is left ({why}); networks go on on {device.title}.")

    def _in_float32(self, window: Window) -> Answer:
        """The row of a window that left the range of a short format: by weights in float32 beside the short ones, or
        on the processor; FailTrack where they fit nowhere. When that goes on the run changes to float32."""
        torch = require("torch", "neural")
        for device in dict.fromkeys((self.device, self.device if self.device.ends_silently else processor())):
            if not self._has_room(device, "fp32", window):
                continue
            try:
                row: Row = self._computed([window], device, "fp32")[0]
            except (RuntimeError, MemoryError) as error:
                if meaning(error) not in (MEMORY, LIBRARY, KERNELS):
                    self._judge(error, 1)
            else:
                self._overflows += bool(np.isfinite(row).all())
                if self._overflows >= OVERFLOWS and not self._single:
                    say_once(
                        f"{self._overflows} windows left the range of {self.precision} on {self.device.title}; "
                        "this network computes in fp32 from here on."
                    )
                    self._modules.pop((self.device.name, self.precision), None)
                    self._single = True
                return row
            relieve(torch)
        return FailTrack("memory", f"its numbers leave the range of {self.precision}, and float32 does not fit beside")

    def _in_chunks(self, chunks: int, batch: list[Window]) -> list[Answer]:
        share = WHOLE_SHARE + (1 - WHOLE_SHARE) / chunks
        if not self._has_room(self.device, self.precision, batch[0], share=share):
            return []
        rows = self._rows(batch, chunks)
        self.chunked += len(batch)
        return rows

    def _on_processor(self, batch: list[Window]) -> list[Answer]:
        if self.device.ends_silently or not self._has_room(processor(), "fp32", batch[0]):
            return []  # the processor has the same memory, or too little of its own
        rows = self._computed(batch, processor(), "fp32")
        self._given_up = 0
        return list(rows)

    def _give_up(self, batch: list[Window]) -> list[Answer]:
        self._given_up += len(batch)
        if self._given_up >= GIVEN_UP:
            raise OutOfMemory(
                f"Not even one window of audio fits into the memory of {self.device.title}; close other programs or "
                "raise --gpu-memory. What was decided before stands, and the next scan goes on."
            )
        return [FailTrack("memory", f"no window fits into the memory of {self.device.title}") for _ in batch]

    def _has_room(self, device: Device, precision: str, window: Window, *, share: float = 1.0) -> bool:
        """Whether a share of one window's work fits, and the weights if they are not loaded yet; always true where an
        exception can be waited for."""
        if not device.ends_silently:
            return True
        torch = require("torch", "neural")
        slope = self._slopes.get((device.name, precision, window.shape), self._blueprint.seed(precision))
        free, _ = free_bytes(device, torch, self._placement.memory)
        room = free - (0.0 if (device.name, precision) in self._modules else self._to_load(device, precision))
        return Slope(slope.fixed * share, slope.each * share).fits(room, 1) == 1

    def _to_load(self, device: Device, precision: str) -> float:
        """What of the machine's memory loading takes at most: where a device shares it, the weights are there twice."""
        return (2.0 if device.unified else 1.25) * self._blueprint.weight_bytes(precision)

    def _computed(
        self, batch: list[NDArray[np.float32]], device: Device, precision: str, chunks: int = 1
    ) -> NDArray[np.float32]:
        torch = require("torch", "neural")
        module = self._module(device, precision)
        tensor = torch.from_numpy(np.stack(batch))
        if device.is_cuda:
            tensor = tensor.pin_memory().to(device.name, non_blocking=True)
        elif not device.is_cpu:
            tensor = tensor.to(device.name)
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
            self._modules[key] = self._built(precision).eval().to(device.name)
        return self._modules[key]

    def _built(self, precision: str) -> Any:
        """The module on the processor; MemoryError, ReclassError where the file of its weights cannot be read."""
        try:
            return self._blueprint.build(precision)
        except OSError as error:
            if error.errno == errno.ENOMEM:  # mapping the file is refused where memory is
                raise MemoryError(str(error)) from error
            raise ReclassError(
                f"The weights of {self._blueprint.name} cannot be read ({error.strerror or error}); what was decided "
                "before stands. Look at the folder they lie in (reclass doctor), or install the model again."
            ) from error

    def _load(self, torch: Any) -> None:
        """Load the weights; they take their share of the memory before the rest is counted. A card that does not hold
        them is left for the next device; OutOfMemory where none holds them."""
        while (self.device.name, self.precision) not in self._modules:
            device, need = self.device, self._to_load(self.device, self.precision)
            free, _ = free_bytes(device, torch, self._placement.memory)
            # On their way to a card of its own memory they pass through the machine's.
            room = max(0, free if device.ends_silently else memory.available_bytes() - RAM_RESERVE)
            fits = room >= need and self._succeeds(lambda: self._module(self.device, self.precision))
            if fits:
                return
            if self.device is not device:
                continue
            relieve(torch)
            if device.ends_silently or room < need:
                raise OutOfMemory(
                    f"Loading this network takes {memory.readable(need)}, and {memory.readable(room)} of memory are "
                    "free; close other programs and scan again. What was decided before stands."
                )
            self._go_on(processor(), "its memory does not hold the network")

    def _slope(self, torch: Any, shape: tuple[int, ...]) -> Slope:
        """Memory by batch: measured once on a card and remembered, else the blueprint's."""
        seed = self._blueprint.seed(self.precision)
        device = self.device
        if not device.is_cuda:  # no other counts its peaks
            return seed
        words = (self._blueprint.name, self.precision, "x".join(map(str, shape)), device.title, torch.__version__)
        key = "|".join(words)
        known = _remembered(self._blueprint.slopes)
        if key in known:
            return known[key]
        if device.unified and seed.fits(free_bytes(device, torch, self._placement.memory)[0], 2) < 2:
            return seed
        measured = self._measured(torch, shape)
        if measured is None or measured.each < seed.each / 4:  # an allocator that does not count
            return seed
        if device.unified:  # what larger batches take besides would end the process: the larger of both figures
            measured = Slope(max(measured.fixed, seed.fixed), max(measured.each, seed.each))
        with suppress(OSError):  # a read-only folder: it is measured again next time
            slopes = {**known, key: measured}
            write_json(self._blueprint.slopes, {name: [one.fixed, one.each] for name, one in slopes.items()})
        return measured

    def _measured(self, torch: Any, shape: tuple[int, ...]) -> Slope | None:
        """The slope through the peaks of one and of two windows of noise; None where two do not fit."""
        noise = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
        peaks = []
        for count in (0, 1, 2):  # first a pass to warm up: cuDNN tries its algorithms, with memory of their own
            base = torch.cuda.memory_allocated(self.device.name)
            torch.cuda.reset_peak_memory_stats(self.device.name)
            batch = list(noise[: max(1, count)])
            if not self._succeeds(partial(self._computed, batch, self.device, self.precision)):
                relieve(torch)
                return None
            peaks.append((count, float(torch.cuda.max_memory_allocated(self.device.name) - base)))
        return slope_through(peaks[1:])

    def _succeeds(self, attempt: Callable[[], Any]) -> bool:
        """Whether it does; on return of False memory ran out, or the device was left."""
        try:
            attempt()
        except (RuntimeError, MemoryError) as error:
            self._judge(error, 1)
            return False
        return True


def _remembered(path: Path) -> dict[str, Slope]:
    """The slopes in a file by their keys; one that is damaged is as good as none, as it is measured again."""
    slopes = {}
    with suppress(ReclassError):
        for key, numbers in (read_json(path) or {}).items():
            with suppress(TypeError, ValueError):
                fixed, each = map(float, numbers)
                if fixed >= 0 and 0 < each < float("inf"):
                    slopes[key] = Slope(fixed, each)
    return slopes


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
            raise MissingExtra(absent(name, "neural"))


def finite_row(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """The row; FailTrack where a number of it is not finite even in float32."""
    if not np.isfinite(row).all():
        raise FailTrack("unsupported", "the network gave numbers that are not finite for this recording")
    return row


def stacked(answers: Iterable[Answer]) -> NDArray[np.float32]:
    """The rows of one recording, (n, ...); raises the TrackError that stands in a row's place."""
    rows = []
    for answer in answers:
        if isinstance(answer, TrackError):
            raise answer
        rows.append(answer)
    return np.stack(rows)


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
        """The vector of one recording, float32; SkipTrack for no samples at all, FailTrack where memory is short."""
        return self.pool(stacked(self.network.map(self.windows(samples))))


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
