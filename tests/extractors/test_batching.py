"""Batches that adapt: whatever a device does, each item gives one result, in order, with little waste."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.extractors.batching import CALM, BatchSize, OutOfMemory, Slope, adaptive_map, slope_through
from tests.fakes.devices import always


class Full(Exception):
    """What the simulated device says when it runs out."""


class Device:
    """Squares numbers; holds at most `capacity(call)` of them at once."""

    def __init__(self, capacity):
        self.capacity, self.calls, self.wasted, self.reliefs, self.seen = capacity, 0, 0, 0, []

    def work(self, batch):
        self.calls += 1
        if len(batch) > self.capacity(self.calls):
            self.wasted += 1
            raise Full
        self.seen.append(len(batch))
        return [number * number for number in batch]

    def relieve(self):
        self.reliefs += 1


def run(device, items, size, **more):
    return list(
        adaptive_map(
            device.work, items, size=always(size), is_oom=lambda e: isinstance(e, Full), relieve=device.relieve, **more
        )
    )


def on_cpu(batch):
    assert len(batch) == 1
    return [number * number for number in batch]


@given(
    count=st.integers(0, 200),
    start=st.integers(1, 64),
    capacities=st.lists(st.integers(0, 70), min_size=1, max_size=60),
)
@settings(max_examples=300, deadline=None)
def test_no_item_is_lost_repeated_or_reordered_whatever_runs_out(count, start, capacities):
    device = Device(lambda call: capacities[call % len(capacities)])
    results = run(device, iter(range(count)), BatchSize(start, 64), fallbacks=[on_cpu])
    assert results == [number * number for number in range(count)]
    assert device.reliefs == device.wasted


@given(count=st.integers(1, 3000), start=st.integers(1, 64), capacity=st.integers(1, 80))
@settings(max_examples=200, deadline=None)
def test_a_steady_device_wastes_few_calls(count, start, capacity):
    device = Device(lambda _: capacity)
    assert run(device, range(count), BatchSize(start, 64)) == [n * n for n in range(count)]
    halvings = max(0, math.ceil(math.log2(start / capacity))) + 1
    regrowths = math.log2(device.calls / CALM + 1) + 1
    assert device.wasted <= halvings + regrowths


@given(st.integers(1, 2000))
@settings(max_examples=50, deadline=None)
def test_a_device_that_takes_nothing_is_asked_ever_less(count):
    device = Device(lambda _: 0)
    assert run(device, range(count), BatchSize(8, 64), fallbacks=[on_cpu]) == [n * n for n in range(count)]
    assert device.wasted <= 4 + math.log2(count + 1) + count / 256


def test_a_batch_of_one_that_fails_surfaces_as_a_sentence():
    with pytest.raises(OutOfMemory, match="memory"):
        run(Device(lambda _: 0), range(3), BatchSize(4, 8))


def test_the_fallbacks_are_tried_in_turn():
    shorter, asked = Device(lambda _: 0), []

    def last(batch):
        asked.append(batch)
        return [-1] * len(batch)

    assert run(Device(lambda _: 0), [3], BatchSize(4, 8), fallbacks=[shorter.work, last]) == [-1]
    assert (shorter.wasted, asked) == (1, [[3]])


def test_an_error_that_is_not_about_memory_is_not_retried():
    def broken(batch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(adaptive_map(broken, [1], size=always(BatchSize(4, 8)), is_oom=lambda e: False, relieve=lambda: None))


def test_a_wrong_number_of_results_is_a_bug_and_says_so():
    with pytest.raises(ValueError, match="2 items gave 1 results"):
        list(
            adaptive_map(
                lambda b: [0], [1, 2], size=always(BatchSize(4, 8)), is_oom=lambda e: False, relieve=lambda: None
            )
        )


def test_items_of_another_shape_start_another_batch_and_keep_their_place():
    device = Device(lambda _: 64)
    items = [1, 3, 5, 2, 4, 7]
    results = run(device, items, BatchSize(8, 8), alike=lambda n: n % 2)
    assert results == [n * n for n in items]
    assert device.seen == [3, 2, 1]


def test_items_are_drawn_only_as_needed():
    drawn = []

    def source():
        for number in range(100):
            drawn.append(number)
            yield number

    stream = adaptive_map(
        lambda b: b, source(), size=always(BatchSize(4, 8)), is_oom=lambda e: False, relieve=lambda: None
    )
    assert next(stream) == 0
    assert len(drawn) == 4


def test_the_batch_grows_again_when_memory_comes_back():
    device = Device(lambda call: 4 if call < 10 else 64)
    size = BatchSize(32, 32)
    run(device, range(40_000), size)
    assert size.now == 32


def test_the_traceback_has_let_go_of_its_tensors_before_memory_is_freed():
    import weakref

    class Tensor:
        pass

    alive = []

    def work(batch):
        tensor = Tensor()
        alive.append(weakref.ref(tensor))
        if len(batch) > 1:
            raise Full
        return batch

    def relieve():
        assert alive[-1]() is None

    assert list(
        adaptive_map(work, [1, 2], size=always(BatchSize(2, 2)), is_oom=lambda e: isinstance(e, Full), relieve=relieve)
    ) == [1, 2]


@settings(deadline=None)
@given(st.floats(0, 1e12), st.floats(0, 1e10), st.floats(1, 1e9))
def test_the_predicted_batch_fits_and_is_none_where_not_even_one_does(free, fixed, each):
    count = Slope(fixed, each).fits(free, most=64)
    assert 0 <= count <= 64
    assert count == 0 or fixed + count * each <= free
    assert count == 64 or fixed + (count + 1) * each > free * 0.8


def test_a_slope_goes_through_what_was_measured():
    slope = slope_through([(1, 130.0), (2, 240.0)])
    assert (slope.fixed, slope.each) == (20.0, 110.0)


def test_each_kind_of_items_learns_its_own_batch_size_however_they_alternate():
    sizes = {0: BatchSize(8, 8), 1: BatchSize(8, 8)}
    seen = {0: [], 1: []}

    def work(batch):
        if batch[0] % 2 and len(batch) > 2:  # the odd ones are larger
            raise Full
        seen[batch[0] % 2].append(len(batch))
        return [number * number for number in batch]

    items = [number for start in range(0, 400, 20) for odd in (0, 1) for number in range(start + odd, start + 20, 2)]
    results = list(
        adaptive_map(
            work, items, size=lambda number: sizes[number % 2], is_oom=lambda e: isinstance(e, Full),
            relieve=lambda: None, alike=lambda number: number % 2,
        )
    )  # fmt: skip
    assert results == [number * number for number in items]
    assert (sizes[0].now, sizes[1].now) == (8, 2)
    assert max(seen[0]) == 8


def test_nothing_beyond_the_limit_of_the_moment_is_tried_whatever_was_learned():
    device, size = Device(lambda _: 64), BatchSize(32, 32)

    def limited(number):
        size.limit = 5 if number < 50 else 0 if number < 60 else 32
        return size

    fallen = []

    def fallback(batch):
        fallen.extend(batch)
        return [number * number for number in batch]

    stream = adaptive_map(
        device.work, range(200), size=limited, is_oom=lambda e: False, relieve=device.relieve, fallbacks=[fallback]
    )
    assert list(stream) == [n * n for n in range(200)]
    assert device.seen == [5] * 10 + [32] * 4 + [12]
    assert fallen == list(range(50, 60))
