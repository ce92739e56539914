"""`reclass doctor gpu` on machines of all sorts, simulated."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from music_reclass.cli import doctor as doctor_gpu
from music_reclass.errors import UsageError
from music_reclass.extractors import device
from music_reclass.extractors import device as memory
from music_reclass.extractors.device import NvmlReading
from music_reclass.utils import lazy
from tests.extractors.test_device import GIB, ORIN, RTX, Torch


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Pretends a machine: its torch, what NVML says, and the board's name if it has one."""

    def pretend(torch, nvml=None, board=""):
        torch.__version__, torch.version = "2.8.0", SimpleNamespace(cuda="12.6")
        monkeypatch.setattr(lazy, "require", lambda *_: torch)
        monkeypatch.setattr(memory, "nvml_reading", lambda _: nvml)
        defaults = {"nvml": lambda _: nvml, "available": lambda: 6 * GIB}
        monkeypatch.setattr(device.free_bytes, "__kwdefaults__", defaults)
        if board:
            (tmp_path / "model").write_text(board + "\0")
        monkeypatch.setattr(doctor_gpu, "JETSON", tmp_path / "model")

    return pretend


def run(*words):
    result = CliRunner().invoke(doctor_gpu.gpu, list(words), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_a_card_is_shown_with_who_told_its_memory_and_the_batches_that_fit(machine):
    machine(Torch(RTX), NvmlReading("560.1", 12 * GIB, 4 * GIB, 12))
    card, processor = json.loads(run("--json"))["devices"]
    assert (card["device"], card["free_by"], card["driver"], card["busy_percent"]) == ("cuda:0", "NVML", "560.1", 12)
    assert card["batch"]["mert"] == int(4 * GIB * 0.8 // 61.5e6)
    assert processor["device"] == "cpu"
    text = run()
    assert "compute capability 8.6, computes in bf16" in text
    assert "4.0 GiB for us (NVML)" in text


def test_a_ceiling_is_counted_in(machine):
    machine(Torch(RTX), NvmlReading("560.1", 12 * GIB, 9 * GIB, 12))
    card = json.loads(run("--gpu-memory", "2GiB", "--json"))["devices"][0]
    assert (card["free_bytes"], card["ceiling_bytes"]) == (2 * GIB, 2 * GIB)
    assert "ceiling" in run("--gpu-memory", "0.5")
    with pytest.raises(UsageError, match="4GiB"):
        run("--gpu-memory", "plenty")


def test_a_jetson_whose_nvml_says_nothing_is_no_error(machine):
    machine(Torch(ORIN))
    text = run()
    assert "shared with the processor; 4.8 GiB for us (MemAvailable)" in text
    assert "does not answer here" in text


def test_a_jetson_with_the_wrong_torch_gets_the_cure(machine):
    machine(Torch(), board="NVIDIA Jetson Orin NX")
    assert "NVIDIA Jetson Orin NX: torch 2.8.0 cannot use its GPU" in run()


def test_a_driver_without_a_torch_for_it_gets_the_cure(machine):
    machine(Torch(), NvmlReading("560.1"))
    assert "driver 560.1 is here, but torch" in json.loads(run("--json"))["cure"]


def test_a_plain_processor_is_fine(machine):
    machine(Torch())
    shown = json.loads(run("--json"))
    assert shown["cure"] == ""
    assert [entry["device"] for entry in shown["devices"]] == ["cpu"]
