"""What the neural stages would run on: every device, its memory and who told, and the batches that fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import json_flag
from music_reclass.cli.output import plain, print_json, say

if TYPE_CHECKING:
    from music_reclass.utils.device import Device

JETSON = Path("/proc/device-tree/model")


@click.command("gpu")
@click.option("--gpu-memory", "ceiling", default="", help="Count with a ceiling: 4GiB, 512MiB, or a share such as 0.5.")
@json_flag
def gpu(ceiling: str, as_json: bool) -> None:
    """Show the devices that MERT and OpenJMLA could run on."""
    from music_reclass.utils.lazy import require

    torch = require("torch", "neural")
    found = [_facts(device, torch, ceiling) for device in _devices(torch)]
    cure = _cure(torch, len(found) > 1)
    if as_json:
        print_json({"torch": torch.__version__, "cuda": torch.version.cuda, "devices": found, "cure": cure})
        return
    say("torch", f"{torch.__version__}, " + (f"CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"))
    for facts in found:
        for label, text in _lines(facts):
            say(label, text)
    if cure:
        plain(cure)


def _devices(torch: Any) -> list[Device]:
    from music_reclass.utils.device import devices

    return devices(torch)


def _facts(device: Device, torch: Any, ceiling: str) -> dict[str, Any]:
    from music_reclass.extractors.jmla import PICTURE_BYTES
    from music_reclass.extractors.mert import WINDOW_BYTES
    from music_reclass.extractors.network import MOST_ON_GPU
    from music_reclass.utils.batching import Slope
    from music_reclass.utils.device import free_bytes
    from music_reclass.utils.memory import nvml_reading, parse_bytes

    free, source = free_bytes(device, torch, ceiling)
    nvml = nvml_reading(device.uuid) if device.uuid else None
    share = 0.5 if device.half else 1.0
    windows = {"mert": WINDOW_BYTES, "jmla": PICTURE_BYTES}
    return {
        "device": device.name,
        "title": device.title,
        "capability": None if device.is_cpu else ".".join(map(str, device.capability)),
        "unified": device.unified or device.is_cpu,
        "precision": device.half or "fp32",
        "total_bytes": device.total,
        "free_bytes": free,
        "free_by": source,
        "ceiling_bytes": parse_bytes(ceiling, device.total) if ceiling and not device.is_cpu else None,
        "driver": nvml.driver if nvml else None,
        "busy_percent": nvml.busy if nvml else None,
        "batch": None
        if device.is_cpu
        else {name: Slope(0, each * share).fits(free, MOST_ON_GPU) for name, each in windows.items()},
    }


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from music_reclass.utils.memory import readable

    capability = f", compute capability {facts['capability']}" if facts["capability"] else ""
    yield facts["device"], f"{facts['title']}{capability}, computes in {facts['precision']}"
    shared = ", shared with the processor" if facts["unified"] and facts["capability"] else ""
    total, free = readable(facts["total_bytes"]), readable(facts["free_bytes"])
    yield "memory", f"{total}{shared}; {free} for us ({facts['free_by']})"
    if facts["ceiling_bytes"]:
        yield "ceiling", readable(facts["ceiling_bytes"])
    if facts["capability"]:
        told = [f"driver {facts['driver']}"] if facts["driver"] else []
        told += [f"busy {facts['busy_percent']} %"] if facts["busy_percent"] is not None else []
        yield "NVML", ", ".join(told) or "does not answer here (usual on a Jetson)"
        yield "batches", ", ".join(f"{name} {count}" for name, count in facts["batch"].items()) + " windows (predicted)"


def _cure(torch: Any, has_card: bool) -> str:
    """What to do where there is a card that this torch cannot use; empty where nothing is amiss."""
    from music_reclass.utils.memory import nvml_reading

    if has_card:
        return ""
    board = JETSON.read_text(errors="replace").strip("\0\n ") if JETSON.is_file() else ""
    if "Jetson" in board:
        return f"{board}: torch {torch.__version__} cannot use its GPU; install NVIDIA's torch for JetPack."
    if (reading := nvml_reading("")) is not None and reading.driver:
        return f"NVIDIA driver {reading.driver} is here, but torch {torch.__version__} cannot use a card with it."
    return ""
