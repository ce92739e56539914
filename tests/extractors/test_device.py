"""Devices of all sorts, simulated: an RTX card, a Jetson, a Grace Blackwell, an old card, a bare processor."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from music_reclass.config import load
from music_reclass.errors import DeviceError, UsageError
from music_reclass.extractors import memory
from music_reclass.extractors.device import (
    KERNELS,
    LIBRARY,
    LOST,
    MEMORY,
    UNIFIED_RESERVE,
    Placement,
    choose,
    devices,
    free_bytes,
    hold_to,
    make_room,
    meaning,
    processor,
    say_once,
)
from music_reclass.extractors.memory import NvmlReading

GIB = 1024**3
RTX = {"name": "NVIDIA GeForce RTX 3060", "major": 8, "minor": 6, "total_memory": 12 * GIB, "uuid": "u1"}
ORIN = {"name": "Orin", "major": 8, "minor": 7, "total_memory": 16 * GIB}
GB10 = {"name": "NVIDIA GB10", "major": 12, "minor": 1, "total_memory": 120 * GIB, "is_integrated": 1}
TURING = {"name": "NVIDIA GeForce GTX 1660", "major": 7, "minor": 5, "total_memory": 6 * GIB}
PASCAL = {"name": "NVIDIA GeForce GTX 1080", "major": 6, "minor": 1, "total_memory": 8 * GIB}


class Torch:
    """As much of torch as the device code asks."""

    def __init__(self, *cards, free=0, reserved=0, allocated=0):
        self.fraction = None
        self.ones = lambda shape, device: np.ones(shape)
        self.cuda = SimpleNamespace(
            is_available=lambda: bool(cards),
            device_count=lambda: len(cards),
            get_device_properties=lambda index: SimpleNamespace(**cards[index]),
            mem_get_info=lambda name: (free, 0),
            memory_reserved=lambda name: reserved,
            memory_allocated=lambda name: allocated,
            set_per_process_memory_fraction=lambda share, name: setattr(self, "fraction", (round(share, 3), name)),
        )


def free(card, torch, ceiling="", nvml=None, available=20 * GIB):
    device = devices(torch)[0]
    return free_bytes(device, torch, ceiling, nvml=lambda _: nvml, available=lambda: available)


def test_the_processor_is_always_there_and_a_card_comes_first():
    assert [d.name for d in devices(Torch())] == ["cpu"]
    assert [d.name for d in devices(Torch(RTX, TURING))] == ["cuda:0", "cuda:1", "cpu"]


@pytest.mark.parametrize(("card", "half"), [(RTX, "bf16"), (ORIN, "bf16"), (TURING, "fp16"), (PASCAL, "")])
def test_each_card_gets_the_short_numbers_it_is_fast_in(card, half):
    assert devices(Torch(card))[0].half == half


@pytest.mark.parametrize(("flags", "half"), [("fma avx512_bf16", "bf16"), ("amx_bf16", "bf16"), ("asimd", "")])
def test_a_processor_computes_in_bfloat16_only_where_it_can(flags, half, tmp_path):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flags}\n")
    assert processor(tmp_path / "cpuinfo").half == half


@pytest.mark.parametrize(("card", "unified"), [(RTX, False), (ORIN, True), (GB10, True)])
def test_unified_memory_is_recognised(card, unified):
    assert devices(Torch(card))[0].unified == unified


def test_of_what_nvml_and_cuda_say_the_smaller_is_free():
    torch = Torch(RTX, free=7 * GIB)
    assert free(RTX, torch, nvml=NvmlReading(free=5 * GIB)) == (5 * GIB, "NVML")
    assert free(RTX, torch, nvml=NvmlReading(free=70 * GIB)) == (7 * GIB, "CUDA")  # a slice of a larger card
    assert free(RTX, torch, nvml=NvmlReading(driver="540")) == (7 * GIB, "CUDA")
    assert free(RTX, torch, nvml=None) == (7 * GIB, "CUDA")


def test_unified_memory_is_what_the_machine_has_less_a_reserve():
    torch = Torch(ORIN, free=GIB // 10)
    assert free(ORIN, torch, available=6 * GIB) == (6 * GIB - UNIFIED_RESERVE, "MemAvailable")
    assert free(ORIN, torch, available=GIB) == (0, "MemAvailable")


def test_what_torch_holds_unused_counts_as_free():
    assert free(RTX, Torch(RTX, free=2 * GIB, reserved=3 * GIB, allocated=GIB))[0] == 4 * GIB


def test_a_ceiling_limits_all_that_is_taken():
    torch = Torch(RTX, free=10 * GIB, reserved=GIB, allocated=GIB)
    assert free(RTX, torch, ceiling="4GiB")[0] == 3 * GIB
    assert free(RTX, torch, ceiling="0.5")[0] == 5 * GIB


def test_a_ceiling_is_handed_to_torch_too():
    torch = Torch(RTX)
    hold_to(devices(torch)[0], torch, "3GiB")
    assert torch.fraction == (0.25, "cuda:0")
    other = Torch(RTX)
    hold_to(processor(), other, "3GiB")
    assert other.fraction is None


def test_the_device_asked_for_is_taken_or_named_as_missing():
    torch = Torch(RTX)
    assert choose(Placement(), torch).name == "cuda:0"
    assert choose(Placement("cpu"), torch).is_cpu
    assert choose(Placement("cuda"), torch).name == "cuda:0"
    with pytest.raises(UsageError, match="only cuda:0, cpu"):
        choose(Placement("cuda:1"), torch)


def test_a_precision_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="fp8"):
        Placement(precision="fp8")


def test_the_settings_place(tmp_path):
    (tmp_path / "config.toml").write_text('device = "cpu"\ngpu-memory = "2GiB"\n')
    settings = load({}, tmp_path / "config.toml", {"RECLASS_PRECISION": "fp32"})
    assert Placement.from_settings(settings) == Placement("cpu", "2GiB", "fp32")


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


class AcceleratorError(RuntimeError):
    """As torch names errors of cards from 2.8 on."""


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OutOfMemoryError("any words"), MEMORY),
        (MemoryError(), MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate 1.5 GiB"), MEMORY),
        (RuntimeError("CUDA error: out of memory"), MEMORY),
        (RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/opt/CUDACachingAllocator.cpp"'), MEMORY),
        (RuntimeError("NvMapMemAllocInternalTagged: 1075072515 error 12"), MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), MEMORY),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99"), MEMORY),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5.3 GB, max allowed: 5.3 GB)"), MEMORY),
        (RuntimeError("GET was unable to find an engine to execute this computation"), LIBRARY),
        (RuntimeError("FIND was unable to find an engine to execute this computation"), LIBRARY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), LIBRARY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"), LIBRARY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), LIBRARY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), LIBRARY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasSgemm`"), LIBRARY),
        (RuntimeError("could not create a primitive"), LIBRARY),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), KERNELS),
        (RuntimeError("CUDA error: device-side assert triggered"), LOST),
        (RuntimeError("CUDA error: unspecified launch failure"), LOST),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), LOST),
        (RuntimeError("CUDA driver error: driver shutting down"), LOST),
        (AcceleratorError("an error of a backend to come"), LOST),
        (RuntimeError("shape mismatch"), ""),
        (ValueError("out of memory"), ""),
        (KeyError("CUDA error"), ""),
    ],
)  # fmt: skip
def test_what_an_error_means_is_recognised_in_all_its_words(error, what):
    assert meaning(error) == what


APPLE = SimpleNamespace(
    recommended_max_memory=lambda: 5 * GIB,
    driver_allocated_memory=lambda: 2 * GIB,
    current_allocated_memory=lambda: GIB,
)


def mac():
    torch = Torch()
    torch.mps, torch.backends = APPLE, SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True))
    return torch


def test_an_apple_chip_is_a_device_with_unified_memory_that_computes_in_float32():
    apple, last = devices(mac())
    assert (apple.name, apple.half, apple.total, apple.unified, apple.is_cuda) == ("mps", "", 5 * GIB, True, False)
    assert last.is_cpu
    assert choose(Placement("mps"), mac()).name == choose(Placement(), mac()).name == "mps"


@pytest.mark.parametrize(
    ("available", "free"), [(4 * GIB, 4 * GIB - UNIFIED_RESERVE + GIB), (90 * GIB, 4 * GIB), (0, 0)]
)
def test_what_an_apple_chip_may_take_is_bounded_by_the_machine_and_by_metal(available, free):
    apple = devices(mac())[0]
    assert free_bytes(apple, mac(), available=lambda: available) == (free, "MemAvailable")


def broken(text):
    def ones(shape, device):
        if device == "cuda:0":
            raise RuntimeError(text)
        return np.ones(shape)

    return ones


def test_the_next_card_is_taken_where_the_first_computes_nothing_and_that_is_said_once(caplog):
    say_once.cache_clear()
    torch = Torch(PASCAL, RTX)
    torch.ones = broken("CUDA error: no kernel image is available for execution on the device")
    assert {choose(Placement(), torch).name for _ in range(3)} == {"cuda:1"}
    assert choose(Placement("cuda"), torch).name == "cuda:1"
    assert [record.message for record in caplog.records] == [
        "NVIDIA GeForce GTX 1080 is not used: this torch has no kernels for compute capability 6.1; install a torch "
        "that is built for it (reclass doctor gpu). Networks run on NVIDIA GeForce RTX 3060."
    ]
    with pytest.raises(DeviceError, match=r"no kernels for compute capability 6\.1"):
        choose(Placement("cuda:0"), torch)


def test_a_card_that_multiplies_wrongly_or_does_not_answer_is_not_used(caplog):
    say_once.cache_clear()
    torch = Torch(RTX)
    torch.ones = lambda shape, device: np.zeros(shape)
    assert choose(Placement(), torch).is_cpu
    assert "a product came out wrong" in caplog.text

    def silent(index):
        raise RuntimeError("CUDA unknown error - this may be due to an incorrectly set up environment")

    torch.cuda.get_device_properties = silent
    assert [device.name for device in devices(torch)] == ["cpu"]
    assert "cuda:0 is not used: it does not answer (RuntimeError: CUDA unknown error" in caplog.text


def test_what_torch_keeps_is_given_back_where_other_programs_need_the_memory_of_the_machine(monkeypatch):
    emptied = []
    torch = Torch(ORIN, reserved=3 * GIB, allocated=GIB)
    torch.cuda.empty_cache = lambda: emptied.append(True)
    orin = devices(torch)[0]
    for available, times in ((2 * GIB, 0), (GIB, 1)):
        monkeypatch.setattr(memory, "available_bytes", lambda free=available: free)
        make_room(orin, torch)
        assert len(emptied) == times
