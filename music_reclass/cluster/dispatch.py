"""Batches of items for workers that may end at any time: two in flight a worker, three tries an item, none lost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from music_reclass.errors import FailTrack, ReclassError, TrackError

IN_FLIGHT = 2  # batches a worker: one at work, and the next, so that it need not wait for its way
TRIES = 3
SMALLER = 8  # a batch of items that were lost once is so many times smaller
MOST_BYTES = 32 * 2**20  # of file contents in one batch: they pass through the object store
LOOK = 0.5  # seconds between two looks for workers that joined or hang
PATIENCE = 30.0  # seconds without any worker, after which the run ends
UNSEEN = "unseen"  # the reason for which a worker gives an item back: it has no such file


class Parcel(NamedTuple):
    """What a worker gets of one item: its path there, or the contents of its file."""

    item: Any
    path: str | None = None
    content: Any = None  # an object of Ray
    size: int = 0  # of the content, bytes


class Lost(NamedTuple):
    """In the place of a batch's answers: its worker ended."""

    why: str
    error: ReclassError | None = None  # what the worker itself says: no item is to blame


class Carrier(Protocol):
    """What brings batches to workers. A worker that ended never comes back under the same name."""

    def workers(self) -> Sequence[str]:
        """The workers that may have a batch now; those that joined or left since the last call are noticed."""
        ...

    def batch_size(self, worker: str) -> int:
        """How many items a full batch for the worker has."""
        ...

    def patience(self, worker: str, count: int) -> float:
        """Seconds after which a batch of so many items will never come."""
        ...

    def pack(self, worker: str, item: Any, as_bytes: bool) -> Parcel | TrackError:
        """An item for its way to the worker; what is wrong with its file where that is found out here."""
        ...

    def send(self, worker: str, parcels: Sequence[Parcel]) -> Hashable:
        """Begin a batch; a ticket for its answers."""
        ...

    def receive(self, tickets: Sequence[Hashable], seconds: float) -> list[tuple[Hashable, list[Any] | Lost]]:
        """Batches that are done, each with an answer for every item, after at most so many seconds."""
        ...

    def drop(self, worker: str, why: str) -> None:
        """End a worker for the rest of the run."""
        ...


class _Entry(NamedTuple):
    item: Any
    tries: int = 0  # batches with it that were lost
    as_bytes: bool = False  # a worker has no such file


@dataclass(slots=True)
class _Flight:
    worker: str
    entries: list[_Entry]
    since: float  # when it was first in its worker's queue
    alone: bool
    blamed: bool = False  # its worker ended while it was at work


class Dispatcher:
    """Carries items to workers and answers back."""

    def __init__(self, carrier: Carrier, clock: Callable[[], float] = time.monotonic) -> None:
        self._carrier, self._clock = carrier, clock
        self._flights: dict[Hashable, _Flight] = {}  # in the order in which they were sent
        self._returned: deque[_Entry] = deque()
        self._ended: set[str] = set()
        self._problem: ReclassError | None = None
        self._exhausted = False

    def run(
        self, items: Iterable[Any], stop: Callable[[], bool] = lambda: False
    ) -> Generator[tuple[Any, Any], None, None]:
        """Each item with its answer, or the TrackError in its place, in the order of completion.

        An item whose batch is lost goes to another worker: with fewer others the second time, alone the third, and
        is failed after that. Once `stop` is true no batch is begun. ReclassError where no worker is left.
        """
        source = iter(items)
        worked = self._clock()
        while True:
            workers = list(self._carrier.workers())
            if stop():
                self._exhausted = True
                self._returned.clear()
            yield from self._fill(workers, source)
            if self._exhausted and not self._flights and not self._returned:
                return
            if workers or self._flights:
                worked = self._clock()
            elif self._problem or self._clock() - worked >= PATIENCE:
                raise self._problem or ReclassError(
                    "No node of the cluster is left that could go on; what was read is stored, and the same scan "
                    "takes up the rest."
                )
            for ticket, outcome in self._carrier.receive(list(self._flights), LOOK):
                yield from self._settled(ticket, outcome)
            self._end_silent()

    def _fill(self, workers: Sequence[str], source: Iterator[Any]) -> Iterator[tuple[Any, TrackError]]:
        """Give every worker a batch before any gets its second; items that cannot even be sent come out."""
        for depth in range(IN_FLIGHT):
            for worker in workers:
                held = [flight for flight in self._flights.values() if flight.worker == worker]
                if len(held) != depth or any(flight.alone for flight in held):
                    continue
                entries, parcels = [], []
                for entry, packed in self._batch(worker, depth, source):
                    if isinstance(packed, TrackError):
                        yield entry.item, packed
                    else:
                        entries.append(entry)
                        parcels.append(packed)
                if entries:
                    alone = entries[0].tries == TRIES - 1
                    ticket = self._carrier.send(worker, parcels)
                    self._flights[ticket] = _Flight(worker, entries, self._clock(), alone)

    def _batch(self, worker: str, depth: int, source: Iterator[Any]) -> Iterator[tuple[_Entry, Parcel | TrackError]]:
        """Entries of one batch, packed: those that came back first, of equally many tries."""
        full, count, size, tries = self._carrier.batch_size(worker), 0, 0, -1
        while size < MOST_BYTES:
            if self._returned and tries in (-1, self._returned[0].tries):
                if self._returned[0].tries == TRIES - 1 and depth:
                    return  # its last try, which no other batch shall spoil: once the worker is free
                entry = self._returned.popleft()
            elif tries > 0 or self._exhausted:
                return
            else:
                try:
                    entry = _Entry(next(source))
                except StopIteration:
                    self._exhausted = True
                    return
            tries = entry.tries
            packed = self._carrier.pack(worker, entry.item, entry.as_bytes)
            yield entry, packed
            if isinstance(packed, Parcel):
                count, size = count + 1, size + packed.size
            if count >= (full, max(1, full // SMALLER), 1)[tries]:
                return

    def _settled(self, ticket: Hashable, outcome: list[Any] | Lost) -> Iterator[tuple[Any, Any]]:
        """The answers of a batch that came or was lost; entries that are tried again go back."""
        flight = self._flights[ticket]
        held = [other for other in self._flights.values() if other.worker == flight.worker]
        if isinstance(outcome, Lost) and flight.worker not in self._ended:
            self._ended.add(flight.worker)
            held[0].blamed = outcome.error is None  # it was at the oldest of its batches; those behind did no harm
        del self._flights[ticket]
        if isinstance(outcome, Lost):
            yield from self._taken_back(flight, outcome)
            return
        for other in held:
            other.since = max(other.since, self._clock())
        errors = [answer for answer in outcome if isinstance(answer, ReclassError)]
        if errors:  # of the worker's model, card or installation, not of a recording
            self._carrier.drop(flight.worker, str(errors[0]))
            self._ended.add(flight.worker)
            yield from self._taken_back(flight, Lost(str(errors[0]), errors[0]))
            return
        for entry, answer in zip(flight.entries, outcome, strict=True):
            if isinstance(answer, TrackError) and answer.reason == UNSEEN:
                if entry.as_bytes:
                    yield entry.item, FailTrack("io", answer.detail)
                else:
                    self._returned.append(entry._replace(as_bytes=True))
            else:
                yield entry.item, answer

    def _taken_back(self, flight: _Flight, lost: Lost) -> Iterator[tuple[Any, TrackError]]:
        self._problem = lost.error or self._problem
        for entry in flight.entries:
            tries = entry.tries + flight.blamed
            if tries >= TRIES:
                why = f"{TRIES} workers of the cluster ended while they had this file ({lost.why})"
                yield entry.item, FailTrack("crashed", why)
            else:
                self._returned.append(entry._replace(tries=tries))

    def _end_silent(self) -> None:
        """End workers from which nothing comes any more; `receive` gives their batches back as lost."""
        now = self._clock()
        for flight in list(self._flights.values()):
            if now - flight.since >= self._carrier.patience(flight.worker, len(flight.entries)):
                self._carrier.drop(flight.worker, "it does not answer any more")
                flight.since = now
