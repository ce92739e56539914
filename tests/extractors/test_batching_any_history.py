"""Batch sizes stay within their bounds after any history, and no call that fails holds more than it was given."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.extractors.batching import (
    CALM,
    MOST_PATIENCE,
    BatchSize,
    OutOfMemory,
    Slope,
    adaptive_map,
    slope_through,
)
from tests.fakes.devices import always


class Full(Exception):
    """What the simulated device says when it runs out."""


def is_full(error: BaseException) -> bool:
    return isinstance(error, Full)


@settings(max_examples=200, deadline=None)
@given(
    start=st.integers(-3, 200),
    most=st.integers(-1, 64),
    outcomes=st.lists(
        st.tuples(st.sampled_from(["worked", "failed", "short", "gave up"]), st.integers(1, 40)), max_size=60
    ),
)
def test_the_next_batch_is_at_least_one_and_at_most_what_was_allowed(
    start: int, most: int, outcomes: list[tuple[str, int]]
) -> None:
    size = BatchSize(start, most)
    for outcome, times in outcomes:
        for _ in range(times):
            before = size.now
            if outcome == "worked":
                size.worked(size.now)
                assert before <= size.now <= 2 * before
            elif outcome == "short":
                size.worked(max(1, size.now - 1))  # the end of a file list: too few items to prove anything
                assert size.now == before or before == 1
            elif outcome == "failed":
                size.failed(size.now)
                assert size.now < before or before == 1
            else:
                size.gave_up()
                assert 1 <= size.detour <= 256
            assert 1 <= size.now <= max(1, most)
            assert 2 <= size.cap <= max(1, most) + 1 or size.cap == 2


def grown_after(size: BatchSize, limit: int = 10**6) -> int:
    """How many full batches go well before a larger one is tried."""
    before, count = size.now, 0
    while size.now == before and count < limit:
        size.worked(size.now)
        count += 1
    return count


def test_each_failure_doubles_the_calm_that_a_growth_needs_up_to_a_limit() -> None:
    size = BatchSize(64, 64)
    for failures in range(1, 12):
        size.failed(size.now)
        size.now = 2
        assert grown_after(size) == min(CALM * 2**failures, MOST_PATIENCE)


def test_a_size_that_failed_is_approached_half_way_and_not_reached_at_once() -> None:
    size = BatchSize(32, 64)
    size.failed(32)
    sizes = [size.now]
    while size.now < 31:
        grown_after(size)
        sizes.append(size.now)
    assert sizes == [16, 24, 28, 30, 31]
    assert size.cap == 32


def test_a_growth_that_fails_goes_back_to_what_worked() -> None:
    size = BatchSize(10, 64)
    grown_after(size)
    assert size.now == 20
    size.failed(20)
    assert size.now == 10
    size.failed(10)  # what worked before works no longer: the neighbour took more
    assert size.now == 5


def test_nothing_is_asked_of_a_device_beyond_what_it_may_take() -> None:
    assert (BatchSize(100, 8).now, BatchSize(0, 8).now, BatchSize(5, 0).now) == (8, 1, 1)
    size = BatchSize(8, 8)
    for _ in range(100):
        size.worked(8)
    assert (size.now, size.cap) == (8, 9)


@settings(max_examples=150, deadline=None)
@given(
    shapes=st.lists(st.integers(0, 2), max_size=80),
    start=st.integers(1, 16),
    capacities=st.lists(st.integers(0, 20), min_size=1, max_size=20),
    second=st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_every_item_has_its_result_in_its_place_whatever_fails_in_whichever_way(
    shapes: list[int], start: int, capacities: list[int], second: list[bool]
) -> None:
    items = [(number, shape) for number, shape in enumerate(shapes)]
    calls, tries, relieved = [], [], []

    def work(batch: list[tuple[int, int]]) -> list[tuple[str, int]]:
        calls.append(batch)
        if len(batch) > capacities[len(calls) % len(capacities)]:
            raise Full
        return [("fast", number) for number, _ in batch]

    def slower(batch: list[tuple[int, int]]) -> list[tuple[str, int]]:
        tries.append(batch)
        if second[len(tries) % len(second)]:
            raise Full
        return [("slow", number) for number, _ in batch]

    def last(batch: list[tuple[int, int]]) -> list[tuple[str, int]]:
        return [("last", number) for number, _ in batch]

    results = list(
        adaptive_map(
            work, iter(items), size=always(BatchSize(start, 16)), is_oom=is_full, relieve=lambda: relieved.append(1),
            fallbacks=[slower, last], alike=lambda item: item[1],
        )
    )  # fmt: skip
    assert [number for _, number in results] == list(range(len(items)))
    assert all(1 <= len(batch) <= 16 and len({shape for _, shape in batch}) == 1 for batch in calls)
    assert all(len(batch) == 1 for batch in tries)
    assert [name for name, _ in results].count("slow") + [name for name, _ in results].count("last") == len(tries)


def test_a_fallback_that_breaks_is_not_taken_for_one_without_memory() -> None:
    def work(batch: list[int]) -> list[int]:
        raise Full

    def broken(batch: list[int]) -> list[int]:
        raise ZeroDivisionError

    stream = adaptive_map(
        work, [1], size=always(BatchSize(1, 1)), is_oom=is_full, relieve=lambda: None, fallbacks=[broken, lambda b: b]
    )
    with pytest.raises(ZeroDivisionError):
        next(stream)


def test_results_before_an_item_that_fits_nowhere_have_come() -> None:
    def work(batch: list[int]) -> list[int]:
        if 3 in batch:
            raise Full
        return batch

    stream = adaptive_map(work, range(9), size=always(BatchSize(4, 4)), is_oom=is_full, relieve=lambda: None)
    came = [next(stream) for _ in range(3)]
    with pytest.raises(OutOfMemory, match="close other programs or raise --gpu-memory"):
        next(stream)
    assert came == [0, 1, 2]


@given(
    fixed=st.integers(0, 10**9), each=st.integers(1, 10**8), few=st.integers(1, 4), more=st.integers(1, 8),
    items=st.integers(1, 64),
)  # fmt: skip
def test_a_line_through_two_measurements_predicts_every_other(
    fixed: int, each: int, few: int, more: int, items: int
) -> None:
    slope = slope_through([(n, float(fixed + each * n)) for n in (few, few + more)])
    assert slope.fixed + slope.each * items == pytest.approx(fixed + each * items)
    room = (fixed + each * (items + 0.5)) / 0.8  # a fifth is left to others, and half an item does not count
    assert slope.fits(room, 99) == items
    assert slope.fits(room, 99, share=1.0) >= items
    assert slope.fits(2 * room, items) == items


def test_measurements_that_do_not_grow_still_give_a_batch() -> None:
    slope = slope_through([(1, 100.0), (2, 100.0)])
    assert (slope.fixed, slope.each) == (99.0, 1.0)
    assert Slope(0.0, 0.0).fits(0.0, 8) == 0
