"""`reclass doctor gpu` on machines of all sorts, simulated."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from music_reclass.cli import doctor as doctor_gpu
from music_reclass.errors import MissingExtra, UsageError
from music_reclass.extractors import memory, mert
from music_reclass.extractors.batching import OutOfMemory
from music_reclass.extractors.memory import NvmlReading
from music_reclass.extractors.weights import catalogue
from music_reclass.utils import lazy, torch_install
from music_reclass.utils.torch_install import Machine
from tests.extractors.test_device import GIB, ORIN, PASCAL, RTX, Torch, mac
from tests.fakes import devices
from tests.fakes.devices import MIB


@pytest.fixture
def machine(monkeypatch):
    """Pretends a machine: its torch, what NVML says, and what else decides which torch fits."""

    def pretend(torch, nvml=None, **facts):
        torch.__version__, torch.version = "2.8.0", SimpleNamespace(cuda="12.6")
        monkeypatch.setattr(lazy, "require", lambda *_: torch)
        monkeypatch.setattr(memory, "nvml_reading", lambda _: nvml)
        monkeypatch.setattr(memory, "available_bytes", lambda: 6 * GIB)
        known = lambda driver="": Machine(driver=driver, card=bool(driver), **facts)  # noqa: E731
        monkeypatch.setattr(torch_install, "this_machine", known)

    return pretend


def run(*words):
    result = CliRunner().invoke(doctor_gpu.gpu, list(words), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_a_card_is_shown_with_who_told_its_memory_and_the_batches_that_fit(machine):
    machine(Torch(RTX, free=12 * GIB), NvmlReading("560.1", 12 * GIB, 4 * GIB, 12))
    card, processor = json.loads(run("--json"))["devices"]
    assert (card["device"], card["free_by"], card["driver"], card["busy_percent"]) == ("cuda:0", "NVML", "560.1", 12)
    assert card["batch"] == {"mert": 32, "mert-330m": 32, "jmla": 32}
    assert processor["device"] == "cpu"
    text = run()
    assert "compute capability 8.6, computes in bf16" in text
    assert "4.0 GiB for us (NVML)" in text


def test_a_ceiling_is_counted_in(machine):
    machine(Torch(RTX, free=12 * GIB), NvmlReading("560.1", 12 * GIB, 9 * GIB, 12))
    card = json.loads(run("--gpu-memory", "2GiB", "--json"))["devices"][0]
    assert (card["free_bytes"], card["ceiling_bytes"]) == (2 * GIB, 2 * GIB)
    assert "ceiling" in run("--gpu-memory", "0.5")
    with pytest.raises(UsageError, match="4GiB"):
        run("--gpu-memory", "plenty")


@pytest.mark.parametrize(("card", "available"), [(ORIN, 2000), (ORIN, 1500), (ORIN, 6000), (RTX, 900)])
def test_the_batches_are_those_of_a_run(card, available, machine, monkeypatch, tmp_path):
    free = available * MIB
    machine(Torch(card, free=free))
    monkeypatch.setattr(memory, "available_bytes", lambda: free if card is ORIN else 60 * GIB)
    shown = json.loads(run("--json"))["devices"][0]
    real = devices.Machine(
        title=card["name"], capability=(card["major"], card["minor"]), unified=card is ORIN, nvml_free=-1,
        total=card["total_memory"], ram=free if card is ORIN else 60 * GIB, programs=0, window=mert.WINDOW_BYTES / 2,
        weights=catalogue.model("mert").size, workspace=0,
    )  # fmt: skip
    real.context = 1  # the free memory is given; what CUDA takes for itself is gone from it
    if card is not ORIN:
        real.others = lambda _: card["total_memory"] - free - 1
    real.install(monkeypatch)
    network = real.network(tmp_path)
    try:
        predicted = network.batch_size((8,)).count
    except OutOfMemory:
        predicted = 0
    assert shown["batch"]["mert"] == predicted


def test_several_cards_are_shown_each_with_what_is_wrong_with_it(machine):
    def ones(shape, device):
        if device == "cuda:1":
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
        return np.ones(shape)

    torch = Torch(RTX, PASCAL, free=6 * GIB)
    torch.ones = ones
    machine(torch)
    first, second, processor = json.loads(run("--json"))["devices"]
    assert [entry["device"] for entry in (first, second, processor)] == ["cuda:0", "cuda:1", "cpu"]
    assert (first["trouble"], processor["trouble"]) == ("", "")
    assert "no kernels for compute capability 6.1" in second["trouble"]
    assert "no kernels for compute capability 6.1" in run()


def test_an_apple_chip_is_shown_with_its_batches_and_without_nvml(machine):
    machine(mac())
    apple, _ = json.loads(run("--json"))["devices"]
    assert (apple["device"], apple["precision"], apple["capability"], apple["unified"]) == ("mps", "fp32", None, True)
    assert apple["batch"]["mert"] > 0
    text = run()
    assert "shared with the processor" in text
    assert "NVML" not in text


def test_a_jetson_whose_nvml_says_nothing_is_no_error(machine):
    machine(Torch(ORIN))
    text = run()
    assert "shared with the processor; 4.8 GiB for us (MemAvailable)" in text
    assert "does not answer here" in text


def test_a_jetson_with_the_wrong_torch_gets_the_very_command(machine):
    machine(Torch(), board="NVIDIA Jetson Orin NX", jetpack="6.2", python=(3, 10))
    text = run()
    assert (
        "torch 2.8.0 cannot use the GPU of this Jetson. NVIDIA Jetson Orin NX with JetPack 6.2 needs NVIDIA's" in text
    )
    assert "pip install 'numpy<2' https://developer.download.nvidia.com/compute/redist/jp/v61/" in text
    shown = json.loads(run("--json"))
    assert [line.split()[3] for line in shown["install"][:2]] == ["uninstall", "install"]
    assert shown["cure"] in text


def test_a_driver_without_a_torch_for_it_gets_the_cure(machine):
    machine(Torch(), NvmlReading("560.1"))
    assert "driver 560.1 is here, but torch" in json.loads(run("--json"))["cure"]


def test_a_plain_processor_is_fine(machine):
    machine(Torch())
    shown = json.loads(run("--json"))
    assert (shown["cure"], shown["install"]) == ("", [])
    assert [entry["device"] for entry in shown["devices"]] == ["cpu"]


def test_without_torch_the_command_that_installs_it_is_printed_and_the_exit_code_is_1(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setattr(torch_install, "this_machine", lambda driver="": Machine(driver="570.1", card=True))
    text = run()
    assert text.startswith("There is no torch here. The NVIDIA driver is 570.1.\n")
    assert "install 'torch>=2.4' --index-url https://download.pytorch.org/whl/cu128\n" in text
    shown = json.loads(run("--json"))
    assert (shown["torch"], shown["cuda"], shown["devices"]) == (None, None, [])
    assert len(shown["install"]) == 1
    assert CliRunner().invoke(doctor_gpu.gpu, [], standalone_mode=False).return_value == 1


def test_a_torch_that_does_not_load_is_named_with_what_it_says(machine, monkeypatch):
    def fails(*_):
        raise MissingExtra("torch does not load: libcusparseLt.so.0 is missing.")

    machine(Torch(), board="NVIDIA Jetson Orin NX", jetpack="6.2", python=(3, 10))
    monkeypatch.setattr(lazy, "require", fails)
    monkeypatch.setattr(metadata, "version", lambda _: "2.5.0a0+872d972e41.nv24.08")
    shown = json.loads(run("--json"))
    assert shown["torch"] is None
    assert "libcusparseLt.so.0" in shown["cure"]
    assert any("apt-get install -y libcusparselt0" in line for line in shown["install"])


def absent(name):
    raise metadata.PackageNotFoundError(name)


def test_a_card_that_torch_has_no_kernels_for_is_named_with_the_torch_that_has_them(machine):
    torch = Torch(PASCAL, free=8 * GIB)
    torch.ones = no_kernels
    machine(torch, NvmlReading("580.1", 8 * GIB, 8 * GIB, 0))
    torch.version.cuda = "13.2"
    text = run()
    assert "no kernels for compute capability 6.1" in text
    assert "pip install 'torch>=2.4' --index-url https://download.pytorch.org/whl/cu126" in text


def no_kernels(*_, **__):
    raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
