"""Simulated devices that own their memory: 2,000 tracks without death, loss or repetition, and what fails on them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from music_reclass.errors import DeviceError, FailTrack, MissingExtra
from music_reclass.extractors import network as networks
from music_reclass.extractors.batching import OutOfMemory
from music_reclass.extractors.device import Placement
from music_reclass.extractors.network import GIVEN_UP, MOST_ON_CARD, MOST_ON_CPU, OVERFLOWS
from music_reclass.extractors.pipeline import assembled
from tests.fakes.devices import (
    GIB,
    MIB,
    NVML_ASSERT,
    OOM,
    Machine,
    OutOfMemoryError,
    ProcessDies,
    Simulated,
    forget_what_was_said,
    track,
)

TRACKS, WINDOWS = 2000, 6


def others(period: int, first: int, then: int):
    """Another program that changes between two amounts, in MiB, each for half a period of calls, in steps."""

    def taken(call: int) -> int:
        half = period // 2
        start, end = (first, then) if call // half % 2 else (then, first)
        return int(start + (end - start) * min(1.0, call % half / 5)) * MIB

    return taken


ORIN = {"title": "Orin", "capability": (8, 7), "unified": True, "nvml_free": -1}
NANO = {**ORIN, "total": 7620 * MIB, "ram": 7620 * MIB}
SMALL = {"title": "NVIDIA GeForce RTX 2060", "capability": (7, 5), "total": 5930 * MIB}
MACHINES = {
    "Orin Nano 8 GB": Machine(**NANO, programs=2200 * MIB),
    "Orin Nano 8 GB with a network of 330 million": Machine(**NANO, programs=2200 * MIB, weights=1260e6),
    "Orin Nano 8 GB beside a browser": Machine(**NANO, programs=1500 * MIB, others=others(60, 300, 3000)),
    "Orin Nano 8 GB that runs full": Machine(
        **NANO, programs=2 * GIB, others=lambda call: min(call * 8 * MIB, 3400 * MIB)
    ),
    "Orin NX 16 GB": Machine(**ORIN, total=15 * GIB, ram=15 * GIB, others=others(50, 0, 9000)),
    "AGX Orin 64 GB": Machine(**ORIN, total=61 * GIB, ram=61 * GIB, programs=6 * GIB),
    "GB10": Machine(title="NVIDIA GB10", capability=(12, 1), unified=True, total=119 * GIB, ram=119 * GIB),
    "RTX 2060 6 GB": Machine(**SMALL, others=lambda _: 900 * MIB),
    "RTX 2060 6 GB, nearly full": Machine(**SMALL, others=lambda _: 4200 * MIB),
    "RTX 2060 6 GB, its memory in pieces": Machine(**SMALL, others=lambda _: 2500 * MIB, usable=0.6),
    "RTX 4090 24 GB": Machine(),
    "H200": Machine(title="NVIDIA H200", capability=(9, 0), total=140 * GIB, ram=1000 * GIB),
    "a MIG slice of an H200": Machine(
        title="NVIDIA H200 MIG 1g", capability=(9, 0), total=2 * GIB, nvml_free=130 * GIB, ram=100 * GIB
    ),
    "a card shared with Plex": Machine(
        title="NVIDIA GeForce GTX 1660", capability=(7, 5), total=6 * GIB, others=others(80, 4700, 500)
    ),
    "a laptop's processor": Machine(name="none", ram=8 * GIB, programs=5 * GIB),
}  # fmt: skip


def copy(name: str) -> Machine:
    """The machine, as new."""
    return replace(MACHINES[name], wasted=[], batches=[], formats=[])


@pytest.fixture(autouse=True)
def _said_once():
    forget_what_was_said()


def run(machine: Machine, tmp_path, monkeypatch, count=TRACKS, placement=None, **more):
    """The answers for so many tracks, in the order in which they came."""
    machine.install(monkeypatch)
    network = machine.network(tmp_path, placement, **more)
    answers = list(assembled(((n, track(n, WINDOWS)) for n in range(count)), Simulated(network)))
    return answers, network


def check_vectors(answers, count=TRACKS):
    assert [number for number, _ in answers] == list(range(count))
    assert np.array_equal([vector for _, vector in answers], [[n, (WINDOWS - 1) / 2] for n in range(count)])


@pytest.mark.parametrize("name", MACHINES)
def test_two_thousand_tracks_come_whole_in_order_and_once_with_few_wasted_calls(name, tmp_path, monkeypatch):
    machine = copy(name)
    answers, network = run(machine, tmp_path, monkeypatch)
    check_vectors(answers)
    assert len(machine.wasted) <= math.log2(MOST_ON_CARD)
    assert max(count for _, count in machine.batches) <= (MOST_ON_CPU if machine.name == "none" else MOST_ON_CARD)
    computed = sum(count for _, count in machine.batches)
    assert computed in (TRACKS * WINDOWS, TRACKS * WINDOWS + 4)  # those of the measurement besides
    if machine.name != "none":
        assert {place for place, _ in machine.batches} == {"cuda:0"}
    network.release()
    assert (machine.allocated, machine.main) == (0, 0)


@pytest.mark.parametrize(
    "name", ["RTX 2060 6 GB, nearly full", "a MIG slice of an H200", "Orin Nano 8 GB that runs full"]
)
def test_nothing_fails_where_free_memory_is_told_truly_though_batches_would_like_to_grow(name, tmp_path, monkeypatch):
    machine = copy(name)
    run(machine, tmp_path, monkeypatch)
    assert machine.wasted == []
    assert len(machine.batches) > TRACKS * WINDOWS / MOST_ON_CARD * 1.3


def test_memory_that_is_away_for_a_while_fails_tracks_for_a_passing_reason_and_ends_nothing(tmp_path, monkeypatch):
    asked = []

    def programs(call):  # time goes on while nothing is computed
        asked.append(call)
        return 4000 * MIB * min(300, len(asked) - 500) // 300 if 500 < len(asked) < 1000 else 0

    away = Machine(**NANO, programs=2 * GIB, others=programs)
    answers, _ = run(away, tmp_path, monkeypatch)
    assert [number for number, _ in answers] == list(range(TRACKS))
    failed = [number for number, answer in answers if isinstance(answer, FailTrack)]
    assert 0 < len(failed) < 40
    assert {answer.reason for _, answer in answers if isinstance(answer, FailTrack)} == {"memory"}
    assert len(away.wasted) == 0


def test_a_window_that_does_not_fit_is_computed_in_pieces_and_never_by_a_second_copy_in_the_same_memory(
    tmp_path, monkeypatch
):
    machine = Machine(**NANO, programs=5300 * MIB, window=400e6, workspace=0)
    answers, network = run(machine, tmp_path, monkeypatch, 50)
    check_vectors(answers, 50)
    assert network.chunked == 300
    assert {place for place, _ in machine.batches} == {"cuda:0"}


def test_memory_without_room_for_one_window_ends_the_stage_with_a_sentence_and_not_the_process(tmp_path, monkeypatch):
    machine = Machine(**NANO, programs=5200 * MIB, window=4e9)
    with pytest.raises(OutOfMemory, match=r"Not even one window .* memory of Orin; close other programs"):
        run(machine, tmp_path, monkeypatch)
    assert machine.batches == []


@pytest.mark.parametrize("in_chunks", [True, False])
def test_unified_memory_without_room_for_the_weights_is_left_alone(in_chunks, tmp_path, monkeypatch):
    machine = Machine(**NANO, programs=6 * GIB, weights=1260e6)
    with pytest.raises(OutOfMemory, match=r"Loading this network takes .* close other programs"):
        run(machine, tmp_path, monkeypatch, in_chunks=in_chunks)
    assert machine.calls == 0


@pytest.mark.parametrize(("ram", "on_processor"), [(16, True), (4, False)])
def test_a_full_card_leaves_windows_to_the_processor_only_if_main_memory_holds_the_weights(
    ram, on_processor, tmp_path, monkeypatch
):
    small = {**SMALL, "total": 1100 * MIB, "window": 500e6}
    machine = Machine(**small, ram=ram * GIB, programs=2500 * MIB, weights=700e6)
    answers, _ = run(machine, tmp_path, monkeypatch, 5, in_chunks=False)
    if on_processor:
        check_vectors(answers, 5)
        assert {place for place, _ in machine.batches} == {"cpu"}
    else:
        assert [answer.reason for _, answer in answers] == ["memory"] * 5


def test_on_unified_memory_a_measurement_never_makes_a_window_smaller_than_it_is_known_to_be(tmp_path, monkeypatch):
    machine = Machine(**NANO, programs=3600 * MIB, counted=0.3, window=200e6)
    answers, _ = run(machine, tmp_path, monkeypatch, 300)
    check_vectors(answers, 300)
    assert max(count for _, count in machine.batches) < MOST_ON_CARD


def test_what_the_kernel_would_do_is_really_simulated(tmp_path, monkeypatch):
    machine = copy("Orin Nano 8 GB that runs full")
    monkeypatch.setattr(networks, "make_room", lambda device, torch: None)
    with pytest.raises(ProcessDies):
        run(machine, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "error",
    [OutOfMemoryError(OOM), RuntimeError(NVML_ASSERT), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling"),
     RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), RuntimeError("CUDNN_STATUS_EXECUTION_FAILED"),
     RuntimeError("GET was unable to find an engine to execute this computation"),
     RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`")],
)  # fmt: skip
def test_whatever_a_library_calls_it_a_batch_that_is_too_large_is_halved(error, tmp_path, monkeypatch):
    machine = Machine(faults=lambda call, count, place: error if count > 5 else None)
    answers, _ = run(machine, tmp_path, monkeypatch, 200)
    check_vectors(answers, 200)
    assert machine.wasted[:3] == [32, 16, 8]
    assert len(machine.wasted) <= math.log2(MOST_ON_CARD) + 1  # with one growth that failed
    assert {place for place, _ in machine.batches} == {"cuda:0"}


@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_library_that_refuses_single_windows_twice_leaves_the_card_for_the_processor_and_says_so_once(
    in_chunks, tmp_path, monkeypatch, caplog
):
    broken = RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED\nat /pytorch/aten")
    machine = Machine(faults=lambda call, count, place: broken if call and place != "cpu" else None)
    answers, network = run(machine, tmp_path, monkeypatch, 100, in_chunks=in_chunks)
    check_vectors(answers, 100)
    assert network.device.is_cpu
    assert len(machine.wasted) <= 8
    assert [record.message for record in caplog.records] == [
        "NVIDIA GeForce RTX 4090 is left (RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED); networks go on on "
        "the processor."
    ]


NO_KERNELS = RuntimeError("CUDA error: no kernel image is available for execution on the device")


@pytest.mark.parametrize("first", [0, 1, 40])
def test_a_card_without_kernels_for_this_torch_is_not_used_whenever_that_shows(first, tmp_path, monkeypatch, caplog):
    machine = Machine(faults=lambda call, count, place: NO_KERNELS if place != "cpu" and call >= first else None)
    answers, network = run(machine, tmp_path, monkeypatch, 300)
    check_vectors(answers, 300)
    assert network.device.is_cpu
    assert len(caplog.records) == 1
    assert "RTX 4090 is " in caplog.text
    if not first:
        assert "no kernels for compute capability 8.9" in caplog.text


def test_a_card_that_was_asked_for_by_name_and_breaks_is_not_replaced(tmp_path, monkeypatch):
    broken = RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED")
    machine = Machine(faults=lambda call, count, place: broken if call > 9 and place != "cpu" else None)
    with pytest.raises(DeviceError, match=r"RTX 4090 is of no use \(RuntimeError: cuDNN error.*--device auto"):
        run(machine, tmp_path, monkeypatch, 100, Placement("cuda:0"))


def test_a_card_that_was_asked_for_by_name_and_does_not_work_is_not_replaced(tmp_path, monkeypatch):
    machine = Machine(faults=lambda call, count, place: NO_KERNELS if place != "cpu" else None)
    with pytest.raises(DeviceError, match=r"no kernels .* install a torch that is built for it"):
        run(machine, tmp_path, monkeypatch, 3, Placement("cuda:0"))


@pytest.mark.parametrize(
    "text",
    ["CUDA error: device-side assert triggered", "CUDA error: unspecified launch failure", "driver shutting down",
     "CUDA error: an illegal memory access was encountered", "CUDA error: uncorrectable ECC error encountered"],
)  # fmt: skip
def test_a_card_that_is_lost_ends_the_stage_with_a_sentence_and_keeps_what_was_done(text, tmp_path, monkeypatch):
    machine = Machine(faults=lambda call, count, place: RuntimeError(text) if call > 30 else None)
    torch = machine.install(monkeypatch)

    def lost():
        raise RuntimeError(text)

    network, done = machine.network(tmp_path), []
    with pytest.raises(DeviceError, match=r"RTX 4090 stopped working .*was decided before stands.*--device cpu"):
        iter_into(done, assembled(((n, track(n)) for n in range(500)), Simulated(network)))
    check_vectors(done, len(done))
    assert len(done) > 100
    torch.cuda.empty_cache = lost  # as every other call on the card
    network.release()


def iter_into(done, answers):
    """Keeps each answer as it comes."""
    for answer in answers:
        done.append(answer)
    return ()


def test_an_error_that_nobody_knows_is_a_sentence_on_a_card_and_a_bug_on_the_processor(tmp_path, monkeypatch):
    strange = RuntimeError("expected scalar type Half but found Float")
    faults = lambda call, count, place: strange if call else None  # noqa: E731
    with pytest.raises(DeviceError, match=r"RTX 4090 failed \(RuntimeError: expected scalar .*Try --device cpu"):
        run(Machine(faults=faults), tmp_path, monkeypatch, 3)
    with pytest.raises(RuntimeError, match="expected scalar"):
        run(Machine(faults=faults), tmp_path, monkeypatch, 3, Placement("cpu"))


def test_a_torch_for_another_numpy_is_named_with_the_cure(tmp_path, monkeypatch):
    machine = Machine(faults=lambda call, count, place: RuntimeError("Numpy is not available") if call else None)
    with pytest.raises(MissingExtra, match=r"torch .* built for another NumPy: pip install 'numpy<2'"):
        run(machine, tmp_path, monkeypatch, 3)


def test_only_the_windows_that_overflow_are_computed_again(tmp_path, monkeypatch):
    machine = Machine(overflows=lambda number: number in (7, 400, 1200))
    answers, network = run(machine, tmp_path, monkeypatch)
    check_vectors(answers)
    assert network.precision == "bf16"
    assert machine.formats.count("fp32") == 3 * WINDOWS < OVERFLOWS
    assert {place for place, _ in machine.batches} == {"cuda:0"}


def test_overflows_without_room_for_float32_beside_fail_their_track_alone(tmp_path, monkeypatch):
    machine = Machine(**NANO, programs=4100 * MIB, weights=1600e6, overflows=lambda number: number in (7, 90))
    answers, _ = run(machine, tmp_path, monkeypatch, 200)
    failed = {number: answer for number, answer in answers if isinstance(answer, FailTrack)}
    assert failed.keys() == {7, 90}
    assert {answer.reason for answer in failed.values()} == {"memory"}
    assert "fp32" not in machine.formats


def test_overflows_on_a_card_without_room_for_float32_go_to_the_processor(tmp_path, monkeypatch):
    machine = Machine(**{**SMALL, "total": 2600 * MIB}, weights=1800e6, overflows=lambda number: number == 7)
    answers, _ = run(machine, tmp_path, monkeypatch, 50)
    check_vectors(answers, 50)
    assert sum(count for place, count in machine.batches if place == "cpu") == WINDOWS


def test_an_apple_chip_computes_in_float32_within_what_the_machine_leaves(tmp_path, monkeypatch):
    mac = {"title": "Apple M2", "name": "mps", "unified": True, "nvml_free": -1}
    machine = Machine(**mac, total=5 * GIB, ram=8 * GIB, programs=3 * GIB, others=others(40, 0, 2200))
    answers, network = run(machine, tmp_path, monkeypatch)
    check_vectors(answers)
    assert (network.device.name, network.precision) == ("mps", "fp32")
    assert machine.wasted == []
    full = Machine(**mac, ram=16 * GIB, total=5 * GIB, faults=mps_full)
    answers, _ = run(full, tmp_path, monkeypatch, 100)
    check_vectors(answers, 100)
    assert 0 < len(full.wasted) <= math.log2(MOST_ON_CARD) + 1


def mps_full(call, count, place):
    return RuntimeError("MPS backend out of memory (MPS allocated: 5 GB, max allowed: 5 GB).") if count > 6 else None


def test_a_stage_gives_up_after_many_windows_in_a_row_and_not_before(tmp_path, monkeypatch):
    machine = Machine(**NANO, programs=5200 * MIB, window=4e9)
    machine.install(monkeypatch)
    network = machine.network(tmp_path)
    answers = []
    with pytest.raises(OutOfMemory):
        iter_into(answers, network.map(track(0, 500)))
    assert len(answers) == GIVEN_UP - 1


def test_windows_of_each_shape_have_their_own_batches_and_slope_however_they_alternate(tmp_path, monkeypatch):
    machine = Machine(total=4 * GIB, others=lambda _: GIB)
    machine.install(monkeypatch)
    network = machine.network(tmp_path)
    short = [np.pad(window[:4], (0, 0)) for window in track(1, 40)]
    long = list(track(2, 40))
    mixed = [*short[:20], *long[:20], *short[20:], *long[20:]]
    rows = np.stack(list(network.map(mixed)))
    assert np.array_equal(rows, [window[:2] for window in mixed])
    assert [count for _, count in machine.batches] == [1, 1, 2, 20, 1, 1, 2, 20, 20, 20]  # each shape is measured once
    assert network.batch_size((4,)) is not network.batch_size((8,))
