"""Compute devices: which there are and which work, their free memory, and what their errors mean."""

from __future__ import annotations

import contextlib
import gc
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_reclass.config import PRECISIONS
from music_reclass.errors import DeviceError, UsageError
from music_reclass.extractors import memory
from music_reclass.extractors.memory import NvmlReading, parse_bytes

if TYPE_CHECKING:
    from music_reclass.config import Settings

# Graphics chips that share the machine's memory and do not all say so.
UNIFIED_NAMES = ("Orin", "Thor", "Xavier", "Tegra", "GB10")
UNIFIED_RESERVE = int(1.25 * 1024**3)  # beyond it the kernel ends the process without an exception
RAM_RESERVE = 512 * 1024**2  # of main memory that stays free beside weights on the processor

MEMORY, LIBRARY, KERNELS, LOST = "memory", "library", "kernels", "lost"
# What a text in an error means, the first that occurs; the texts are those of torch, CUDA and its libraries.
_MEANINGS = (
    (
        MEMORY,
        "out of memory",
        "NVML_SUCCESS == r",  # the caching allocator's assert on Tegra
        "CUDNN_STATUS_NOT_SUPPORTED",
        "STATUS_ALLOC_FAILED",
        "NvMapMemAlloc",
        "can't allocate memory",
    ),
    (KERNELS, "no kernel image is available", "not compiled with CUDA", "cudaErrorNoKernelImageForDevice"),
    # Mostly memory that ran out inside a library, which then works with smaller batches; else a broken installation.
    (LIBRARY, "unable to find an engine", "no valid execution plans", "CUDNN_", "CUBLAS_", "CUSOLVER_", "CUFFT_"),
    (LIBRARY, "cuDNN error", "could not create a primitive"),
    # After these no call of this process on the card will work again.
    (
        LOST,
        "CUDA error",
        "CUDA driver error",
        "device-side assert",
        "unspecified launch failure",
        "driver shutting down",
    ),
    (LOST, "HIP error", "Xid", "GPU is lost", "MPSGraph", "Metal"),
)


@dataclass(frozen=True, slots=True)
class Placement:
    """What the user asked for: a device, a memory ceiling (`4GiB`, `0.5`; empty: none) and a precision."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps; several: cuda:0,cuda:1
    memory: str = ""
    precision: str = "auto"  # one of config.PRECISIONS

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"There is no precision {self.precision!r}; choose one of {', '.join(PRECISIONS)}.")

        names = [name.strip() for name in self.device.split(",")]
        cards = [name for name in names if re.fullmatch(r"cuda:\d+", name)]
        if len(names) > 1 and set(names) != {"cpu"} and (len(cards) < len(names) or len(set(cards)) < len(names)):
            raise UsageError(
                f"{self.device!r} is no list of devices; write cards once each and with their numbers, cuda:0,cuda:1."
            )

    @property
    def each(self) -> list[Placement]:
        """A placement for each device of the list; this one alone where there is no list."""
        return [replace(self, device=name.strip()) for name in self.device.split(",")]

    @classmethod
    def from_settings(cls, settings: Settings) -> Placement:
        """What the flags, the environment and config.toml say."""
        return cls(settings.device, settings.gpu_memory, settings.precision)


@dataclass(frozen=True, slots=True)
class Device:
    """One place to compute. `half` is the short number format that is fast and safe there, empty for none."""

    name: str  # as torch calls it: cpu, cuda:0, mps
    title: str
    half: str
    total: int = 0  # bytes of its memory
    unified: bool = False  # it shares the machine's memory
    capability: tuple[int, int] = (0, 0)
    uuid: str = ""

    @property
    def is_cpu(self) -> bool:
        """Whether it is the processor itself."""
        return self.name == "cpu"

    @property
    def is_cuda(self) -> bool:
        """Whether it is a card of NVIDIA's, the only kind that counts its peak memory."""
        return self.name.startswith("cuda")

    @property
    def ends_silently(self) -> bool:
        """Whether the kernel ends the process where memory runs out, so that no exception can be waited for."""
        return self.unified or self.is_cpu


def devices(torch: Any) -> list[Device]:
    """All devices that this torch can use, the fastest kind first; the processor is always the last."""
    found = []
    if torch.cuda.is_available():
        found = list(_cards(torch))
    apple = getattr(getattr(torch, "backends", None), "mps", None)
    if apple is not None and apple.is_available():
        # Float32, as nobody has compared short numbers there.
        found.append(Device("mps", "Apple GPU", "", int(torch.mps.recommended_max_memory()), True))
    return [*found, processor()]


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Device:
    """The processor; bfloat16 only where it has instructions for it, as it is slower than float32 without."""
    try:
        words = set(cpuinfo.read_text().split())
    except OSError:
        words = set()
    half = "bf16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else ""
    return Device("cpu", "the processor", half, memory.available_bytes())


def _cards(torch: Any) -> Iterator[Device]:
    for index in range(torch.cuda.device_count()):
        try:
            yield _cuda(torch, index)
        except RuntimeError as error:  # a driver that is too old, or a card that fell off the bus
            say_once(f"cuda:{index} is not used: it does not answer ({first_line(error)}); see reclass doctor gpu.")


def _cuda(torch: Any, index: int) -> Device:
    properties = torch.cuda.get_device_properties(index)
    capability = (int(properties.major), int(properties.minor))
    unified = bool(getattr(properties, "is_integrated", 0)) or any(word in properties.name for word in UNIFIED_NAMES)
    half = "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else ""
    uuid = str(getattr(properties, "uuid", ""))
    return Device(f"cuda:{index}", properties.name, half, int(properties.total_memory), unified, capability, uuid)


def asked_for(placement: Placement, torch: Any) -> list[Device]:
    """The devices that a placement of one name means, none of them tried; UsageError where there is none."""
    found, name = devices(torch), placement.device
    wanted = [device for device in found if name in ("auto", device.name, device.name.split(":")[0])]
    if not wanted:
        raise UsageError(
            f"There is no device {name!r} here, only {', '.join(d.name for d in found)}; see reclass doctor gpu."
        )
    return wanted


def choose(placement: Placement, torch: Any, without: frozenset[str] = frozenset()) -> Device:
    """The device asked for, the first of several, or the first there is, that computes a small product.

    Those `without` are left out. One that does not compute is named in a warning, with the cure. UsageError where the
    device asked for is not there, DeviceError where it does not work.
    """
    wanted = asked_for(placement.each[0], torch)
    refusals: list[str] = []
    for device in wanted:
        if device.name in without:
            continue
        why = "" if device.is_cpu else refusal(device, torch)
        if not why:
            for sentence in refusals:
                say_once(f"{sentence} Networks run on {device.title}.")
            return device
        refusals.append(why)
    raise DeviceError(" ".join(refusals) or f"{placement.device} stopped working; try --device auto or --device cpu.")


@lru_cache(maxsize=256)
def say_once(sentence: str) -> None:
    """Warn of something, however many networks meet it."""
    logging.getLogger(__name__).warning("%s", sentence)


def refusal(device: Device, torch: Any) -> str:
    """Why the device cannot compute even a small product; "" where it can."""
    try:
        square = torch.ones((16, 16), device=device.name)
        if float((square @ square).sum()) == 16.0**3:
            return ""
        text = "a product came out wrong"
    except Exception as error:  # not swallowed: it is named in a warning or raised
        text = first_line(error)
        if meaning(error) == KERNELS:
            built = ".".join(map(str, device.capability))
            return (
                f"{device.title} is not used: this torch has no kernels for compute capability {built}; "
                f"install a torch that is built for it (reclass doctor gpu)."
            )
    return f"{device.title} is not used: it does not compute ({text}); see reclass doctor gpu."


def free_bytes(
    device: Device,
    torch: Any,
    ceiling: str = "",
    *,
    nvml: Callable[[str], NvmlReading | None] | None = None,
    available: Callable[[], int] | None = None,
) -> tuple[int, str]:
    """Bytes this process may still take on `device`, and their source. `ceiling` limits all it takes there."""
    available = available or memory.available_bytes
    if device.is_cpu:
        return available(), "MemAvailable"
    held, used = _taken(device, torch)
    if device.unified:
        # mem_get_info leaves out the page cache, which after reading audio files is most of the memory
        free, source = available() - UNIFIED_RESERVE, "MemAvailable"
    else:
        free, source = int(torch.cuda.mem_get_info(device.name)[0]), "CUDA"
        reading = (nvml or memory.nvml_reading)(device.uuid) if device.uuid else None
        if reading is not None and reading.free is not None and reading.free < free:
            free, source = reading.free, "NVML"  # of a slice (MIG) or a share (MPS) it tells the whole card's
    free = max(0, free + held - used)  # torch keeps it for later
    if device.total:
        free = min(free, max(0, device.total - used))
    if ceiling:
        free = min(free, max(0, parse_bytes(ceiling, device.total) - used))
    return free, source


def make_room(device: Device, torch: Any) -> None:
    """Give back what torch keeps for later where the machine's other programs have come to need it."""
    if device.unified and memory.available_bytes() < UNIFIED_RESERVE:
        held, used = _taken(device, torch)
        if held > used:
            _empty_caches(torch)


def _taken(device: Device, torch: Any) -> tuple[int, int]:
    """What torch holds of the device, and what of it tensors use, in bytes."""
    if device.is_cuda:
        return int(torch.cuda.memory_reserved(device.name)), int(torch.cuda.memory_allocated(device.name))
    return int(torch.mps.driver_allocated_memory()), int(torch.mps.current_allocated_memory())


def hold_to(device: Device, torch: Any, ceiling: str) -> None:
    """Let torch itself refuse to take more than `ceiling` of a discrete card, so that a neighbour keeps the rest."""
    if ceiling and device.is_cuda and device.total:
        share = min(1.0, parse_bytes(ceiling, device.total) / device.total)
        torch.cuda.set_per_process_memory_fraction(share, device.name)


def meaning(error: BaseException) -> str:
    """What went wrong on a device: MEMORY ran out, a LIBRARY refused, no KERNELS, the card is LOST; "": none of these.

    By all the messages of CUDA, cuDNN, cuBLAS, Tegra, Metal, the processor and Python.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return MEMORY
    if not isinstance(error, RuntimeError):
        return ""
    text = str(error).lower()
    for name, *signs in _MEANINGS:
        if any(sign.lower() in text for sign in signs):
            return name
    return LOST if type(error).__name__ == "AcceleratorError" else ""


def first_line(error: BaseException) -> str:
    """The first line of an error's text, with its type; torch adds a traceback of C++ below it."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def relieve(torch: Any) -> None:
    """Give back what nobody uses; call it after the except block, when the traceback has let go."""
    gc.collect()
    _empty_caches(torch)


def _empty_caches(torch: Any) -> None:
    for backend in _backends(torch):
        with contextlib.suppress(RuntimeError):  # a card that was lost: there is nothing to give back
            backend.empty_cache()


def _backends(torch: Any) -> Iterator[Any]:
    if torch.cuda.is_available():
        yield torch.cuda
    apple = getattr(getattr(torch, "backends", None), "mps", None)
    if apple is not None and apple.is_available():
        yield torch.mps
