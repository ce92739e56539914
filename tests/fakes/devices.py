"""Machines that own their memory: weights and batches take of it, other programs come and go, and where it is unified
the process ends without an exception once it is exceeded; behind as much of torch as the code calls."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from music_reclass.domain import FeatureKind
from music_reclass.extractors import device, memory
from music_reclass.extractors.batching import BatchSize, Slope
from music_reclass.extractors.device import Placement
from music_reclass.extractors.memory import NvmlReading
from music_reclass.extractors.network import Blueprint, Network, NetworkExtractor

MIB, GIB = 1024**2, 1024**3
KIND = FeatureKind("simulated", "1", 2, "mid30")
CONTEXT = 400 * MIB  # what CUDA takes for itself at the first call
OOM = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 5.79 GiB"
NVML_ASSERT = 'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/opt/pytorch/c10/cuda/CUDACachingAllocator.cpp":1154'


def always(size: BatchSize) -> Callable[[Any], BatchSize]:
    """The same batch size for every item."""
    return lambda _: size


class ProcessDies(BaseException):
    """The kernel ends the process: nothing may catch it."""


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@dataclass
class Machine:
    """A computer with a card. `others(call)` are the bytes that other programs hold of the card's memory at the
    call of that number, `programs` those in main memory; the page cache gives way and is not counted."""

    title: str = "NVIDIA GeForce RTX 4090"
    capability: tuple[int, int] = (8, 9)
    total: int = 24 * GIB
    ram: int = 32 * GIB
    programs: int = 3 * GIB
    unified: bool = False
    others: Callable[[int], int] = lambda _: 0
    nvml_free: int | None = None  # None: the true number, -1: it does not answer
    oom: Callable[[], BaseException] = lambda: OutOfMemoryError(OOM)
    window: float = 65e6  # bytes that a window takes in a short format, twice that in float32
    weights: float = 380e6  # in float32
    workspace: float = 60e6  # whatever the batch is
    counted: float = 1.0  # share of a batch's memory that the allocator's statistics show
    usable: float = 1.0  # share of a discrete card's free memory that its allocator finds in one piece
    faults: Callable[[int, int, str], BaseException | None] = lambda call, count, device: None
    name: str = "cuda:0"
    overflows: Callable[[int], bool] = lambda track: False  # whether a short format cannot hold the track's numbers

    calls: int = 0  # of the network
    wasted: list[int] = field(default_factory=list)  # windows of each call that failed
    batches: list[tuple[str, int]] = field(default_factory=list)  # device and windows of each call that succeeded
    formats: list[str] = field(default_factory=list)  # of those
    context: int = 0
    main: float = 0.0  # of main memory, by this process
    reserved: float = 0.0  # of the card
    allocated: float = 0.0
    peak: float = 0.0

    @property
    def main_free(self) -> float:
        """What is left of main memory, the page cache counted."""
        shared = self.context + self.reserved + self.others(self.calls) if self.unified else 0
        return self.ram - self.programs - self.main - shared

    @property
    def free(self) -> float:
        """What is left of the card; another program cannot take what this process holds."""
        if self.unified:
            return self.main_free
        return max(0.0, self.total - self.context - self.reserved - self.others(self.calls))

    def survive(self) -> None:
        """The kernel ends the process that holds most where memory is exceeded, whoever took the last of it."""
        if self.main_free < 0:
            raise ProcessDies(f"{self.title}: memory is exceeded by {-self.main_free / MIB:.0f} MiB")

    def take_main(self, count: float) -> None:
        """Take of main memory."""
        self.main += count
        self.survive()

    def take(self, count: float) -> None:
        """Take of the card, by a caching allocator in blocks of 20 MiB."""
        if not self.context:
            self.context = CONTEXT
        more = self.allocated + count - self.reserved
        if more > 0:
            more = -(-more // (20 * MIB)) * 20 * MIB
            if not self.unified and more > self.free * self.usable:
                raise self.oom()
            self.reserved += more
            self.survive()
        self.allocated += count
        self.peak = max(self.peak, self.allocated)

    def give(self, count: float) -> None:
        """Give back to the allocator, which keeps it."""
        self.allocated -= count

    def empty_cache(self) -> None:
        """Give back what no tensor uses."""
        self.reserved = self.allocated

    def compute(self, module: Weights, windows: np.ndarray, chunks: int) -> np.ndarray:
        """The rows of a batch: the first two numbers of each window."""
        self.calls += 1
        self.survive()
        count = len(windows)
        need = self.workspace + self.window * count * (2 if module.precision == "fp32" else 1) * (0.15 + 0.85 / chunks)
        try:
            fault = self.faults(self.calls, count, module.place)
            if fault is not None:
                raise fault
            if module.place == "cpu":
                self.take_main(need)
                self.main -= need
            else:
                self.take(need)
                self.give(need)
        except Exception:
            self.wasted.append(count)
            raise
        self.batches.append((module.place, count))
        self.formats.append(module.precision)
        rows = windows[:, :2].copy()
        if module.precision != "fp32":
            rows[[self.overflows(int(row[0])) for row in rows]] = np.inf
        return rows

    def network(self, folder: Path, placement: Placement | None = None, *, in_chunks: bool = True) -> Network:
        """A network on this machine."""
        blueprint = Blueprint(
            "simulated",
            lambda precision: Weights(self, precision),
            lambda module, batch: Tensor(self.compute(module, batch.array, 1), batch.place),
            Slope(0, 2 * self.window),
            folder / "slopes.json",
            (lambda module, batch, chunks: Tensor(self.compute(module, batch.array, chunks), batch.place))
            if in_chunks
            else None,
            weights=self.weights,
        )
        return Network(blueprint, placement or Placement())

    def install(self, patch: pytest.MonkeyPatch) -> SimpleNamespace:
        """Make this the machine that the code runs on; its torch."""
        torch = self.torch()
        patch.setitem(sys.modules, "torch", torch)  # type: ignore[arg-type]
        patch.setattr(device, "gc", SimpleNamespace(collect=lambda: 0))  # slow, and nothing here is in a cycle
        patch.setattr(memory, "available_bytes", lambda: max(0, int(self.main_free)))
        reading = None if self.nvml_free == -1 else NvmlReading("560.1", self.total, self.nvml_free)
        known = self.nvml_free is not None
        patch.setattr(memory, "nvml_reading", lambda _: reading if known else NvmlReading("560.1", None, self.now()))
        return torch

    def now(self) -> int:
        """The free memory of the card as an integer."""
        return max(0, int(self.free))

    def torch(self) -> SimpleNamespace:
        """As much of torch as the code calls."""

        def reset(_: str) -> None:
            self.peak = self.allocated

        properties = {"name": self.title, "major": self.capability[0], "minor": self.capability[1]}
        properties |= {"total_memory": self.total, "uuid": "" if self.nvml_free == -1 else "GPU-1"}
        cuda = SimpleNamespace(
            is_available=lambda: self.name.startswith("cuda"),
            device_count=lambda: 1,
            get_device_properties=lambda _: SimpleNamespace(**properties),
            # On unified memory the kernel's free pages, of which the page cache has nearly all.
            mem_get_info=lambda _: (100 * MIB if self.unified else self.now(), self.total),
            memory_reserved=lambda _: self.reserved,
            memory_allocated=lambda _: self.allocated,
            reset_peak_memory_stats=reset,
            max_memory_allocated=lambda _: self.allocated + (self.peak - self.allocated) * self.counted,
            empty_cache=self.empty_cache,
            set_per_process_memory_fraction=lambda share, _: None,
        )
        mps = SimpleNamespace(
            recommended_max_memory=lambda: self.total,
            driver_allocated_memory=lambda: self.reserved,
            current_allocated_memory=lambda: self.allocated,
            empty_cache=self.empty_cache,
        )
        return SimpleNamespace(
            __version__="2.9.0",
            version=SimpleNamespace(cuda="12.6"),
            cuda=cuda,
            mps=mps,
            backends=SimpleNamespace(
                mps=SimpleNamespace(is_available=lambda: self.name == "mps"),
                cudnn=SimpleNamespace(),
                cuda=SimpleNamespace(matmul=SimpleNamespace()),
            ),
            from_numpy=lambda array: Tensor(array, "cpu", self.name.startswith("cuda")),
            ones=lambda shape, **where: self.ones(shape, where["device"]),
            inference_mode=Block,
            get_num_threads=lambda: 1,
            set_num_threads=lambda _: None,
            set_num_interop_threads=lambda _: None,
        )

    def ones(self, shape: tuple[int, ...], place: str) -> np.ndarray:
        """A tensor on the device, for the small product."""
        fault = self.faults(0, 0, place)
        if fault is not None:
            raise fault
        if place != "cpu":
            self.take(0)
        return np.ones(shape, np.float32)


class Block:
    """A context without meaning."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass
class Tensor:
    """An array somewhere."""

    array: np.ndarray
    place: str
    can_be_pinned: bool = False

    def to(self, place: str, non_blocking: bool = False) -> Tensor:
        return Tensor(self.array, place)

    def pin_memory(self) -> Tensor:
        if not self.can_be_pinned:
            raise NotImplementedError("memory is pinned for CUDA alone")
        return self

    def float(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.array, "cpu")

    def numpy(self) -> np.ndarray:
        return self.array


class Weights:
    """A module that takes memory for as long as it lives: of the machine first, then of where it is moved."""

    def __init__(self, machine: Machine, precision: str) -> None:
        self.machine, self.precision, self.place = machine, precision, "cpu"
        self.size = machine.weights * (1 if precision == "fp32" else 0.5)
        machine.take_main(self.size)

    def eval(self) -> Weights:
        return self

    def to(self, place: str) -> Weights:
        if place != self.place:
            self.machine.take(self.size)
            self.machine.main -= self.size
            self.place = place
        return self

    def __del__(self) -> None:
        if self.place == "cpu":
            self.machine.main -= self.size
        else:
            self.machine.give(self.size)


class Simulated(NetworkExtractor):
    """The mean of the rows of each track."""

    rate = 8000
    kind = KIND

    def __init__(self, network: Network) -> None:
        self.network = network

    def cut(self, samples: np.ndarray) -> np.ndarray:
        return samples.reshape(-1, 8)


def track(number: int, count: int = 6) -> np.ndarray:
    """The windows of a track: each holds its number and the window's."""
    windows = np.zeros((count, 8), np.float32)
    windows[:, 0], windows[:, 1] = number, np.arange(count)
    return windows


def forget_what_was_said() -> None:
    """Sentences are said once a process: here, once a test."""
    from music_reclass.extractors.device import say_once

    say_once.cache_clear()
    gc.collect()
