"""Memory: what a program may still take of the machine, its container and a card; amounts as people write them."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music_reclass.config import Settings, usable_cores
from music_reclass.errors import UsageError

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


WORKER_BYTES = 350 * 10**6  # of a worker that reads files for the first stages, at most (performance.md)


@dataclass(frozen=True, slots=True)
class NvmlReading:
    """What NVML reports of one card; None for what it does not (on a Jetson, most)."""

    driver: str | None = None
    total: int | None = None
    free: int | None = None
    busy: int | None = None  # per cent


def available_bytes(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes a program may still take before the kernel ends one: MemAvailable, or what is left to its control groups.

    The groups are those of this process and all above them, of version 2 and of version 1.
    """
    return min([_mem_available(proc / "meminfo"), *_left_to_groups(proc / "self" / "cgroup", cgroup)])


def workers_for(settings: Settings) -> int:
    """How many worker processes to run: what --jobs says, else one for each core that there is memory for."""
    return settings.jobs or max(1, min(usable_cores(), available_bytes() // WORKER_BYTES))


def _left_to_groups(membership: Path, cgroup: Path) -> Iterator[int]:
    """What each control group that holds this process leaves; a container shows its own as the root."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    paths = {kinds: path for _, kinds, path in (line.split(":", 2) for line in lines if line.count(":") > 1)}
    first = next((path for kinds, path in paths.items() if "memory" in kinds.split(",")), "/")
    for root, path, names in (
        (cgroup, paths.get("", "/"), ("memory.max", "memory.high", "memory.current", "inactive_file")),
        (cgroup / "memory", first, ("memory.limit_in_bytes", "", "memory.usage_in_bytes", "total_inactive_file")),
    ):
        folder = root / path.strip("/")
        for group in (folder, *folder.parents):
            if group == root or root in group.parents:
                yield from _left_to(group, names)


def _left_to(group: Path, names: tuple[str, str, str, str]) -> Iterator[int]:
    """What one group leaves of its limit, its page cache counted as free; nothing where it has no limit."""
    most, high, current, reclaimable = names
    limits = []
    for name in filter(None, (most, high)):
        with contextlib.suppress(OSError, ValueError):  # "max", or another version
            limits.append(int((group / name).read_text()))
    if not limits:
        return
    cache = None
    with contextlib.suppress(OSError):
        cache = re.search(rf"^{reclaimable} (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    with contextlib.suppress(OSError, ValueError):
        used = int((group / current).read_text()) - (int(cache[1]) if cache else 0)
        yield from (max(0, limit - used) for limit in limits)


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
