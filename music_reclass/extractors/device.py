"""Compute devices: which there are, their free memory, and how out-of-memory errors look."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_reclass.config import PRECISIONS
from music_reclass.errors import UsageError

if TYPE_CHECKING:
    from music_reclass.config import Settings

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NvmlReading:
    """What NVML reports of one card; None for what it does not (on a Jetson, most)."""

    driver: str | None = None
    total: int | None = None
    free: int | None = None
    busy: int | None = None  # per cent


def available_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes a program may still take before the kernel ends one: MemAvailable, or what is left to its container."""
    free = _mem_available(meminfo)
    with contextlib.suppress(OSError, ValueError):  # "max", or no version 2 control groups: no limit
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        reclaimable = re.search(r"^inactive_file (\d+)$", (cgroup / "memory.stat").read_text(), re.MULTILINE)
        free = min(free, max(0, limit - used + (int(reclaimable[1]) if reclaimable else 0)))
    return free


def _mem_available(meminfo: Path) -> int:
    with contextlib.suppress(OSError):
        if found := re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # not known (macOS): assume half


def parse_bytes(text: str, total: int | None = None) -> int:
    """Bytes meant by `4GiB`, `4G`, `4096MiB`, `4GB` (powers of ten), or by a share of `total` such as `0.5` or `50%`.

    UsageError for anything else.
    """
    word = text.strip()
    share = _share(word)
    if share is not None and total is not None:
        return int(share * total)
    found = _SIZE.fullmatch(word)
    if share is None and found and float(found[1]) >= 1 and (found[2] or found[1].isdigit()):
        decimal = found[2] and not found[3] and word.lower().endswith("b")
        return int(float(found[1]) * (1000 if decimal else 1024) ** _UNITS[found[2].lower()])
    raise UsageError(f"{text!r} is no amount of memory; write it like 4GiB, 512MiB, or 0.5 for one half.")


def _share(word: str) -> float | None:
    try:
        share = float(word[:-1]) / 100 if word.endswith("%") else float(word)
    except ValueError:
        return None
    return share if 0.0 < share <= 1.0 else None


def readable(count: float) -> str:
    """A number of bytes for people: `3.2 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def nvml_reading(uuid: str) -> NvmlReading | None:
    """NVML's reading of the card with this UUID, each value on its own; None where NVML is not installed."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    return ask_nvml(nvml, uuid)


def ask_nvml(nvml: Any, uuid: str) -> NvmlReading | None:
    """The reading by the module `nvml`; every single question may go unanswered."""

    def ask(question: Any, *arguments: Any) -> Any:
        try:
            return question(*arguments)
        except nvml.NVMLError:  # on a Jetson, GB10 and in some containers most questions are "not supported"
            return None

    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        driver = ask(nvml.nvmlSystemGetDriverVersion)
        name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        handle = ask(nvml.nvmlDeviceGetHandleByUUID, name.encode())
        memory = rates = None
        if handle is not None:
            memory = ask(nvml.nvmlDeviceGetMemoryInfo, handle)
            rates = ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        return NvmlReading(
            driver.decode() if isinstance(driver, bytes) else driver,
            None if memory is None else int(memory.total),
            None if memory is None else int(memory.free),
            None if rates is None else int(rates.gpu),
        )
    finally:
        ask(nvml.nvmlShutdown)


# Graphics chips that share the machine's memory and do not all say so.
UNIFIED_NAMES = ("Orin", "Thor", "Xavier", "Tegra", "GB10")
UNIFIED_RESERVE = int(1.25 * 1024**3)  # beyond it the kernel ends the process without an exception
OOM_TEXTS = (
    "out of memory",
    "NVML_SUCCESS == r",  # the caching allocator's assert on Tegra
    "CUDNN_STATUS_NOT_SUPPORTED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "NvMapMemAlloc",
    "can't allocate memory",
)


@dataclass(frozen=True, slots=True)
class Placement:
    """What the user asked for: a device, a memory ceiling (`4GiB`, `0.5`; empty: none) and a precision."""

    device: str = "auto"  # auto, cpu, cuda, cuda:1; several: cuda:0,cuda:1
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

    name: str  # as torch calls it: cpu, cuda:0
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


def devices(torch: Any) -> list[Device]:
    """All devices that this torch can use, the fastest kind first; the processor is always the last."""
    found = []
    if torch.cuda.is_available():
        found = [_cuda(torch, index) for index in range(torch.cuda.device_count())]
    return [*found, processor()]


def processor(cpuinfo: Path = Path("/proc/cpuinfo"), meminfo: Path = Path("/proc/meminfo")) -> Device:
    """The processor; bfloat16 only where it has instructions for it, as it is slower than float32 without."""
    try:
        words = set(cpuinfo.read_text().split())
    except OSError:
        words = set()
    half = "bf16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else ""
    return Device("cpu", "the processor", half, available_bytes(meminfo))


def _cuda(torch: Any, index: int) -> Device:
    properties = torch.cuda.get_device_properties(index)
    capability = (int(properties.major), int(properties.minor))
    unified = bool(getattr(properties, "is_integrated", 0)) or any(word in properties.name for word in UNIFIED_NAMES)
    half = "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else ""
    uuid = str(getattr(properties, "uuid", ""))
    return Device(f"cuda:{index}", properties.name, half, int(properties.total_memory), unified, capability, uuid)


def choose(placement: Placement, torch: Any) -> Device:
    """The device asked for, the first of several, or the first there is; UsageError if it is not there."""
    found = devices(torch)
    placement = placement.each[0]
    if placement.device == "auto":
        return found[0]
    wanted = "cuda:0" if placement.device == "cuda" else placement.device
    for device in found:
        if device.name == wanted:
            return device
    raise UsageError(f"There is no device {placement.device!r} here; there are {', '.join(d.name for d in found)}.")


def free_bytes(
    device: Device,
    torch: Any,
    ceiling: str = "",
    *,
    nvml: Callable[[str], NvmlReading | None] = nvml_reading,
    available: Callable[[], int] = available_bytes,
) -> tuple[int, str]:
    """Bytes this process may still take on `device`, and their source. `ceiling` limits all it takes there."""
    if device.is_cpu:
        return available(), "MemAvailable"
    held = int(torch.cuda.memory_reserved(device.name))
    used = int(torch.cuda.memory_allocated(device.name))
    if device.unified:
        # mem_get_info leaves out the page cache, which after reading audio files is most of the memory
        free, source = max(0, available() - UNIFIED_RESERVE), "MemAvailable"
    elif device.uuid and (reading := nvml(device.uuid)) is not None and reading.free is not None:
        free, source = reading.free, "NVML"
    else:
        free, source = int(torch.cuda.mem_get_info(device.name)[0]), "CUDA"
    free += held - used  # torch keeps it for later
    if ceiling:
        free = min(free, max(0, parse_bytes(ceiling, device.total) - used))
    return free, source


def hold_to(device: Device, torch: Any, ceiling: str) -> None:
    """Let torch itself refuse to take more than `ceiling` of a discrete card, so that a neighbour keeps the rest."""
    if ceiling and not device.is_cpu and device.total:
        share = min(1.0, parse_bytes(ceiling, device.total) / device.total)
        torch.cuda.set_per_process_memory_fraction(share, device.name)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in any of the messages of CUDA, cuDNN, Tegra, the processor and Python."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(text.lower() in str(error).lower() for text in OOM_TEXTS)


def relieve(torch: Any) -> None:
    """Give back what nobody uses; call it after the except block, when the traceback has let go."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
