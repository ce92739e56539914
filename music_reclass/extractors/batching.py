"""Adaptive batching: batches shrink on out-of-memory errors and grow back; no item is lost or repeated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from music_reclass.errors import DeviceError

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[list[Item]], Sequence[Result]]

CALM = 16  # full batches that must pass before a larger one is tried
MOST_PATIENCE = 4096


class OutOfMemory(DeviceError):
    """Not even one item fits, by any of the ways there are to work on it."""


@dataclass(frozen=True, slots=True)
class Slope:
    """How memory grows with the batch: `fixed` bytes and `each` bytes an item more."""

    fixed: float
    each: float

    def fits(self, free: float, most: int, *, share: float = 0.8) -> int:
        """How many items fit into that share of `free` bytes, 0 to `most`."""
        return max(0, min(most, int((free * share - self.fixed) // max(self.each, 1.0))))


def slope_through(peaks: Sequence[tuple[int, float]]) -> Slope:
    """The line through the peak bytes measured at two different batch sizes, [(items, bytes), (items, bytes)]."""
    (few, low), (many, high) = peaks
    each = max((high - low) / (many - few), 1.0)
    return Slope(max(low - few * each, 0.0), each)


class BatchSize:
    """How many items to take at once, learned from what went well and what ran out of memory.

    Halves on failure and remembers the size that failed. After a calm stretch it grows, at most to the double and
    half-way to that size; in the end beyond it, as whoever held the memory may have left. A growth that fails goes
    back to the size it came from. Each failure doubles the next stretch. `limit` is what may fit at this moment by
    the memory that is free, 0: not even one; nothing larger is tried, whatever was learned.
    """

    def __init__(self, start: int, most: int) -> None:
        self.most = max(1, most)
        self.now = max(1, min(start, self.most))
        self.limit = self.most
        self.cap = self.most + 1  # the smallest size known to fail
        self.detour = 0  # items to send straight to the fallback, as even one did not fit a moment ago
        self._came_from = 0  # the size before a growth that is not proven yet
        self._patience = CALM
        self._calm = 0
        self._next_detour = 1

    @property
    def count(self) -> int:
        """How many items to take now; 0: none, not even one would fit."""
        return min(self.now, self.limit)

    def failed(self, count: int) -> None:
        """`count` items did not fit."""
        self.cap = max(2, min(self.cap, count))
        self.now = self._came_from if 0 < self._came_from < count else max(1, count // 2)
        self._came_from = self._calm = 0
        self._patience = min(self._patience * 2, MOST_PATIENCE)

    def worked(self, count: int) -> None:
        """`count` items went well."""
        self._next_detour = 1
        if count < self.now:
            return
        self._came_from = 0
        if self.now >= self.most:
            return
        self._calm += 1
        if self._calm >= self._patience:
            self._grow()

    def _grow(self) -> None:
        if self.now + 1 >= self.cap:
            self.cap = min(self.most + 1, self.cap * 2)
        self._came_from, self._calm = self.now, 0
        self.now = min(self.most, self.now * 2, self.now + max(1, (self.cap - self.now) // 2))

    def gave_up(self) -> None:
        """One item alone did not fit: the next few go to the fallback at once, ever more if it goes on."""
        self.detour = self._next_detour
        self._next_detour = min(self._next_detour * 2, 256)


def adaptive_map(
    work: Work[Item, Result],
    items: Iterable[Item],
    *,
    size: Callable[[Item], BatchSize],
    is_oom: Callable[[BaseException], bool],
    relieve: Callable[[], None],
    fallbacks: Sequence[Work[Item, Result]] = (),
    alike: Callable[[Item], Hashable] = lambda _: None,
) -> Iterator[Result]:
    """One result an item, in order, whatever fails for want of memory; no item is lost or given twice.

    `work` takes a list of up to `size(first).count` items for which `alike` says the same and returns as many results;
    `size` is asked before every batch. Where `work` raises what `is_oom` recognises, `relieve` runs and the same items
    are tried again in halves. An item that does not fit alone goes through the `fallbacks` in turn, of which one that
    gives nothing was not tried; OutOfMemory where none is left. Items are drawn only as they are needed.
    """
    source = iter(items)
    waiting: deque[Item] = deque()
    while first := _draw(waiting, source, 1, alike):
        learned = size(first[0])
        waiting.extendleft(first)
        whole = not learned.detour and learned.count > 0
        batch = _draw(waiting, source, learned.count if whole else 1, alike)
        done: Sequence[Result] | None = None
        if whole:
            done = _attempt(work, batch, is_oom)
            if done is not None:
                if not done:
                    raise ValueError(f"{len(batch)} items gave no results")
                learned.worked(len(batch))
            else:
                relieve()
                learned.failed(len(batch))
                if len(batch) > 1:
                    waiting.extendleft(reversed(batch))
                    continue
                if fallbacks:
                    learned.gave_up()
        elif learned.detour:
            learned.detour -= 1
        if done is None:
            done = _by_fallback(fallbacks, batch, is_oom, relieve)
        yield from done


def _draw(waiting: deque[Item], source: Iterator[Item], count: int, alike: Callable[[Item], Hashable]) -> list[Item]:
    """The next items, at most `count` and all alike; one that is not alike waits for the next batch."""
    batch: list[Item] = []
    while len(batch) < count:
        if not waiting:
            try:
                waiting.append(next(source))
            except StopIteration:
                break
        if batch and alike(waiting[0]) != alike(batch[0]):
            break
        batch.append(waiting.popleft())
    return batch


def _attempt(
    work: Work[Item, Result], batch: list[Item], is_oom: Callable[[BaseException], bool]
) -> Sequence[Result] | None:
    """The results; None where memory ran out. On return the traceback, and all that it held, is gone."""
    try:
        results = work(batch)
    except Exception as error:
        if not is_oom(error):
            raise
        return None
    if results and len(results) != len(batch):
        raise ValueError(f"{len(batch)} items gave {len(results)} results")
    return results


def _by_fallback(
    fallbacks: Sequence[Work[Item, Result]],
    batch: list[Item],
    is_oom: Callable[[BaseException], bool],
    relieve: Callable[[], None],
) -> Sequence[Result]:
    for fallback in fallbacks:
        done = _attempt(fallback, batch, is_oom)
        if done:
            return done
        if done is None:
            relieve()
    raise OutOfMemory("not even one window of audio fits into memory; close other programs or raise --gpu-memory.")
