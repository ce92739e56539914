"""How much memory is free: of the machine, of its container, and of an NVIDIA card as far as NVML tells."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music_reclass.errors import UsageError

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NvmlReading:
    """What NVML said about one card; None for what it did not say (a Jetson's says little)."""

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
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # not told (macOS): assume half


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
    """What NVML says about the card with this UUID, each question on its own; None where NVML is not there at all."""
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
