"""Any mixture of good, broken and stopped tracks, any device and any memory: one answer each, never more."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.errors import FailTrack, SkipTrack, TrackError, UsageError
from music_reclass.extractors import pipeline
from music_reclass.extractors.batching import BatchSize, adaptive_map
from music_reclass.extractors.device import MEMORY, UNIFIED_RESERVE, Device, free_bytes, meaning
from music_reclass.extractors.memory import NvmlReading, parse_bytes, readable
from tests.fakes.devices import always


class SmallDevice:
    """A network that gives each window plus one, on a device that holds `capacity` windows; pools by the mean."""

    device = SimpleNamespace(is_cpu=True)

    def __init__(self, batch: int, capacity: int) -> None:
        self.network, self.batch, self.capacity = self, batch, capacity

    def map(self, windows):
        def work(batch):
            if len(batch) > self.capacity:
                raise MemoryError
            return [window + 1 for window in batch]

        size = BatchSize(self.batch, self.batch)
        return adaptive_map(
            work, windows, size=always(size), is_oom=lambda error: meaning(error) == MEMORY, relieve=lambda: None
        )

    def pool(self, rows):
        if rows[0, 0] == 101:
            raise FailTrack("unsupported", "not finite")
        return rows.mean(axis=0)


GOOD, UNPOOLED, BROKEN = "good", "unpooled", "broken"


def answer(number: int, kind: str, count: int) -> np.ndarray | TrackError:
    if kind == BROKEN:
        return SkipTrack("silence", f"track {number}")
    return np.full((count, 2), 100 if kind == UNPOOLED else number, np.float32)


@settings(max_examples=200, deadline=None)
@given(
    tracks=st.lists(st.tuples(st.sampled_from([GOOD, GOOD, UNPOOLED, BROKEN]), st.integers(1, 7)), max_size=15),
    batch=st.integers(1, 8),
    capacity=st.integers(1, 8),
    stop_after=st.one_of(st.none(), st.integers(0, 15)),
)
def test_every_track_that_was_begun_has_exactly_one_answer_of_the_right_track(
    tracks: list[tuple[str, int]], batch: int, capacity: int, stop_after: int | None
) -> None:
    asked = []

    def stop() -> bool:
        asked.append(True)
        return stop_after is not None and len(asked) > stop_after

    read = ((number, answer(number, *track)) for number, track in enumerate(tracks))
    done = list(pipeline.assembled(read, SmallDevice(batch, capacity), stop))  # type: ignore[arg-type]

    begun = len(tracks) if stop_after is None else min(stop_after, len(tracks))
    assert sorted(number for number, _ in done) == list(range(begun))
    computed = [number for number, _ in done if tracks[number][0] != BROKEN]
    assert computed == sorted(computed)
    for number, result in done:
        kind = tracks[number][0]
        if kind == GOOD:
            assert isinstance(result, np.ndarray)
            assert result.tolist() == [number + 1, number + 1]
        else:
            assert isinstance(result, TrackError)
            assert result.reason == ("silence" if kind == BROKEN else "unsupported")


def test_an_error_of_the_network_itself_ends_the_run_and_is_no_tracks_fault() -> None:
    class Broken(SmallDevice):
        def map(self, windows):
            next(iter(windows))
            raise RuntimeError("the driver is gone")

    with pytest.raises(RuntimeError, match="the driver is gone"):
        list(pipeline.assembled([(0, answer(0, GOOD, 1))], Broken(1, 1)))  # type: ignore[arg-type]


GIB = 1024**3
CARD = Device("cuda:0", "a card", "fp16", 8 * GIB, uuid="u")
SHARED = Device("cuda:0", "Orin", "bf16", 8 * GIB, unified=True)


def torch_that(free: int, held: int, used: int) -> SimpleNamespace:
    cuda = SimpleNamespace(
        mem_get_info=lambda name: (free, 8 * GIB),
        memory_reserved=lambda name: held,
        memory_allocated=lambda name: used,
    )
    return SimpleNamespace(cuda=cuda)


@given(
    device=st.sampled_from([CARD, SHARED]),
    free=st.integers(0, 8 * GIB),
    used=st.integers(0, 4 * GIB),
    spare=st.integers(0, 2 * GIB),
    ceiling=st.integers(1, 8),
    nvml=st.one_of(st.none(), st.integers(0, 8 * GIB)),
)
def test_what_is_free_never_exceeds_a_ceiling_and_is_never_negative(
    device: Device, free: int, used: int, spare: int, ceiling: int, nvml: int | None
) -> None:
    torch = torch_that(free, used + spare, used)

    def asked(limit: str) -> tuple[int, str]:
        return free_bytes(device, torch, limit, nvml=lambda _: NvmlReading(free=nvml), available=lambda: free)

    limited, source = asked(f"{ceiling}GiB")
    whole, same_source = asked("")
    assert source == same_source
    assert limited == min(whole, max(0, ceiling * GIB - used))
    assert 0 <= whole <= device.total - used
    if device is CARD:
        least = free if nvml is None else min(free, nvml)  # of a slice or a share of a card NVML tells the whole card's
        assert whole == min(least + spare, device.total - used)
        assert source == ("CUDA" if nvml is None or nvml >= free else "NVML")
    else:
        assert whole == max(0, min(free - UNIFIED_RESERVE + spare, device.total - used))
    assert asked(f"{ceiling / 8}") == (limited, source)


@given(st.integers(1, 4096), st.sampled_from(["K", "M", "G", "T"]), st.sampled_from(["", "iB", "ib", "i"]))
def test_amounts_in_powers_of_two_are_read_in_any_spelling(count: int, unit: str, tail: str) -> None:
    wanted = count * 1024 ** ("KMGT".index(unit) + 1)
    assert parse_bytes(f"{count}{unit}{tail}") == parse_bytes(f" {count} {unit.lower()}{tail} ") == wanted
    assert parse_bytes(f"{count}{unit}B") == count * 1000 ** ("KMGT".index(unit) + 1)


@given(st.integers(1, 100), st.integers(1, 10**12))
def test_a_share_of_a_card_needs_the_card(share: int, total: int) -> None:
    assert parse_bytes(f"{share}%", total) == int(share / 100 * total)
    with pytest.raises(UsageError, match="is no amount of memory; write it like 4GiB"):
        parse_bytes(f"{share}%")


@given(st.integers(0, 2**50))
def test_an_amount_for_people_is_right_to_its_last_digit(count: int) -> None:
    number, unit = readable(count).split()
    size = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}[unit]
    assert abs(float(number) * size - count) <= 0.0500001 * size
    assert float(number) <= 1024 or unit == "GiB"


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("a subclass of torch's"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_memory_that_ran_out_is_told_from_every_other_error(error: BaseException, memory: bool) -> None:
    assert (meaning(error) == MEMORY) is memory
