"""Extraction of many files through one network: workers decode ahead, batches span files."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np

from music_reclass.errors import DeviceError, ReclassError, TrackError
from music_reclass.extractors.registry import extractor
from music_reclass.utils.lazy import require
from music_reclass.utils.workers import WAITING, Meter, WorkerPool, network_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.network import NetworkExtractor

    Group = list[tuple["Item", NDArray[np.float32]]]  # whole tracks with their windows

Item = TypeVar("Item")
AHEAD_OF_GPU = 256 * 1024**2  # bytes of windows decoded ahead: several batches
AHEAD_OF_CPU = 16 * 1024**2
LOOK = 0.5  # seconds between two looks whether to stop, while no track comes
GROUP = 64  # windows that the process of a card is given at once: two batches
PATIENCE = 10.0  # for such a group, in times of the seconds that one file may take
PERIOD = 10.0  # seconds of which a network on the processor may wait for windows; if longer, another worker decodes


def read_windows(path: str | Path, kind: str, excerpt: str) -> NDArray[np.float32]:
    """The network's inputs for one file, (n, ...), for worker processes. Raises TrackError."""
    from music_reclass.extractors.audio import load as audio

    extractor = _for_windows(kind, excerpt)
    clip = audio.load(Path(path), excerpt, extractor.rate)
    audio.check_usable(clip)
    return extractor.windows(clip.samples)


def network_extractor(kind: str, excerpt: str, placement: Placement) -> NetworkExtractor:
    """The extractor of one of `registry.network_kinds` at a placement. MissingWeights, MissingExtra."""
    return cast("NetworkExtractor", extractor(kind, excerpt, placement))


@lru_cache(maxsize=4)
def _for_windows(kind: str, excerpt: str) -> NetworkExtractor:
    """An extractor that only cuts windows in a worker: its network is never loaded, so its placement is no matter."""
    return cast("NetworkExtractor", extractor(kind, excerpt))


def prepare_worker() -> None:
    """Silence the decoders, once for each worker, and load them before the first file's clock starts."""
    import music_reclass.extractors.audio.load  # noqa: F401
    from music_reclass.extractors.audio.sndfile import quiet_decoders

    quiet_decoders()


def embed(
    items: Iterable[Item],
    read: Callable[[Item], NDArray[np.float32]],
    network: NetworkExtractor,
    *,
    jobs: int,
    timeout: float,
    memory: int = 0,
    prepare: Callable[[], None] | None = prepare_worker,
    stop: Callable[[], bool] = lambda: False,
    open_network: Callable[[str, str, Placement], NetworkExtractor] = network_extractor,
    meter: Meter | None = None,
) -> Generator[tuple[Item, NDArray[np.float32] | TrackError], None, None]:
    """Each item with its vector or what was wrong with it, as it is done; a TrackError never ends the run.

    Where the network is placed on several devices, each has a process with a network of its own, that `open_network`
    gives for its kind, excerpt and device; ReclassError where none of them is left.

    `read` runs in `jobs` worker processes and gives the windows of one item; where the network runs on the processor
    one worker starts, and others only while the network waits for windows, as each takes a core from it. `items` are
    drawn in another thread: they must not come from a database cursor. `meter` takes what the work waits for. Once
    `stop` is true no track is begun; those under way still come. Closing the iterator ends everything.
    """
    placements = network.network.placement.each
    several = len(placements) > 1
    on_processor = placements[0].device == "cpu" if several else network.network.device.is_cpu
    if several and not on_processor:  # no card is touched in this process
        _require(placements)
    meter = Meter() if meter is None else meter
    meter.device = "CPU" if on_processor else "GPU"
    jobs_now = 1 if on_processor else jobs
    pool = WorkerPool(read, jobs_now, timeout, prepare, memory=memory, ahead=2, meter=meter)
    network.network.decoders = 1

    def one_more() -> None:
        pool.jobs = network.network.decoders = pool.jobs + 1

    limit = AHEAD_OF_CPU if on_processor else AHEAD_OF_GPU
    with _DecodedAhead(items, pool, limit, stop) as tracks:
        fed = growing(tracks, lambda: pool.jobs < jobs, one_more, meter)
        if several:
            opens = [partial(open_network, network.kind.name, network.kind.excerpt, one) for one in placements]
            yield from _spread(fed, opens, network, timeout=PATIENCE * timeout, stop=stop)
        else:
            yield from assembled(fed, network, stop)


def growing(
    tracks: Iterable[Item],
    may_grow: Callable[[], bool],
    grow: Callable[[], None],
    meter: Meter,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Item]:
    """The same tracks; calls `grow` after each period of which more than the share `WAITING` went by until tracks came.

    The first track is not waited for: the workers start. `meter` takes how long tracks were waited for and worked on.
    """
    since: float | None = None
    waited = 0.0
    asked = before = clock()
    for track in tracks:
        came = clock()
        if since is None:
            since = asked = came
        else:
            meter.add(asked - before, came - asked, of_network=True)
        waited += came - asked
        if came - since >= PERIOD:
            if waited > WAITING * (came - since) and may_grow():
                grow()
            since, waited = came, 0.0
        before = came
        yield track
        asked = clock()


def _spread(
    tracks: Iterable[tuple[Item, NDArray[np.float32] | TrackError]],
    opens: Sequence[Callable[[], NetworkExtractor]],
    network: NetworkExtractor,
    *,
    timeout: float,
    stop: Callable[[], bool],
) -> Iterator[tuple[Item, NDArray[np.float32] | TrackError]]:
    """What `assembled` gives, in any order, by a process for each of `opens`, which has a network of its own.

    What a process holds that ends, hangs or meets an error goes to the others; ReclassError where none is left.
    """
    failed: deque[tuple[Item, TrackError]] = deque()
    on_cards = network.network.placement.each[0].device != "cpu"
    groups = _groups(tracks, failed, stop, GROUP if on_cards else 1)
    returned: deque[Group[Item]] = deque()
    problem: Exception | None = None

    def source() -> Iterator[Group[Item]]:
        while group := returned.popleft() if returned else next(groups, None):
            yield group

    threads = max(1, network_threads() // len(opens))
    functions = [partial(_vectors, opens=each, threads=threads) for each in opens]
    # Groups of cards are on their way while a card works on the group before.
    with WorkerPool(functions, len(opens), timeout, ahead=2 if on_cards else 1, nice=0) as pool:
        while True:
            for group, answer in pool.map(source()):
                while failed:
                    yield failed.popleft()
                if isinstance(answer, Exception):
                    problem = answer
                    returned.append(group)
                    continue
                vectors, chunked = answer
                network.network.chunked += chunked
                yield from zip((item for item, _ in group), vectors, strict=True)
            if not returned:
                break
            if not pool.has_workers and isinstance(problem, ReclassError):
                raise problem
            if not pool.has_workers:
                raise DeviceError(
                    f"No device of {network.network.placement.device} is left ({problem}); what was decided before "
                    "stands. Scan again, or on another device: --device cpu."
                )
    yield from failed


def _require(placements: Sequence[Placement]) -> None:
    """UsageError where a device of a list is not there; whether it works is found out in its process."""
    from music_reclass.extractors.device import asked_for

    for one in placements:
        asked_for(one, require("torch", "neural"))


def _groups(
    tracks: Iterable[tuple[Item, NDArray[np.float32] | TrackError]],
    failed: deque[tuple[Item, TrackError]],
    stop: Callable[[], bool],
    most: int,
) -> Iterator[Group[Item]]:
    """Whole tracks of up to `most` windows together, or one track, until `stop`; `failed` takes those with an error."""
    group: Group[Item] = []
    count = 0
    for item, answer in tracks:
        if stop():
            return
        if isinstance(answer, TrackError):
            failed.append((item, answer))
            continue
        if group and count + len(answer) > most:
            yield group
            group, count = [], 0
        group.append((item, answer))
        count += len(answer)
        if count >= most:
            yield group
            group, count = [], 0
    if group:
        yield group


def _vectors(
    group: Group[Item], opens: Callable[[], NetworkExtractor], threads: int
) -> tuple[list[NDArray[np.float32] | TrackError], int] | ReclassError:
    """In a process of a device: the vectors of a group and how many windows were computed in chunks."""
    try:
        network = _opened(opens, threads)
        before = network.network.chunked
        answers = [answer for _, answer in assembled(group, network)]
        return answers, network.network.chunked - before
    except ReclassError as error:
        return error


@lru_cache(maxsize=1)
def _opened(opens: Callable[[], NetworkExtractor], threads: int) -> NetworkExtractor:
    """The network of this process, whose device is the one that torch takes where none is named."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch is not loaded yet
    network = opens()
    if network.network.placement.device != "cpu":
        # page-locked memory would else open a context on the first card
        require("torch", "neural").cuda.set_device(network.network.device.name)
    return network


def assembled(
    tracks: Iterable[tuple[Item, NDArray[np.float32] | TrackError]],
    network: NetworkExtractor,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Item, NDArray[np.float32] | TrackError]]:
    """Vectors of tracks whose windows share batches; an item that comes with an error goes out with it."""
    # with the number of windows, and rows so far
    begun: deque[tuple[Item, int, list[NDArray[np.float32] | TrackError]]] = deque()
    failed: deque[tuple[Item, TrackError]] = deque()

    def windows() -> Iterator[NDArray[np.float32]]:
        for item, answer in tracks:
            if stop():
                return
            if isinstance(answer, TrackError):
                failed.append((item, answer))
                continue
            begun.append((item, len(answer), []))
            yield from answer

    for row in network.network.map(windows()):
        while failed:
            yield failed.popleft()
        item, count, rows = begun[0]
        rows.append(row)
        if len(rows) == count:
            begun.popleft()
            yield item, _pooled(network, rows)
    yield from failed


def _pooled(
    network: NetworkExtractor, rows: list[NDArray[np.float32] | TrackError]
) -> NDArray[np.float32] | TrackError:
    from music_reclass.extractors.network import stacked

    try:
        return network.pool(stacked(rows))
    except TrackError as error:
        return error


class _DecodedAhead(Generic[Item]):
    """Iterates over items with their windows while a thread keeps the workers busy, up to `limit` bytes ahead.

    It ends where `stop` is true while no item comes, as where all workers are at files that hang.
    """

    def __init__(
        self,
        items: Iterable[Item],
        pool: WorkerPool[Item, NDArray[np.float32]],
        limit: int,
        stop: Callable[[], bool],
    ) -> None:
        self._items, self._pool, self._limit, self._stop = items, pool, limit, stop
        self._ready: deque[tuple[Item, Any]] = deque()
        self._bytes = 0
        self._change = threading.Condition()
        self._finished = self._abandoned = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="decode ahead", daemon=True)

    def __enter__(self) -> _DecodedAhead[Item]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._abandoned = True
            self._change.notify_all()
        while self._thread.is_alive():
            self._pool.end_items()  # nobody waits for the files that the workers are at
            self._thread.join(0.2)

    def __iter__(self) -> Iterator[tuple[Item, NDArray[np.float32] | TrackError]]:
        while True:
            with self._change:
                while not self._change.wait_for(lambda: self._ready or self._finished, LOOK):
                    if self._stop():
                        return
                if not self._ready:
                    break
                item, answer = self._ready.popleft()
                self._bytes -= getattr(answer, "nbytes", 0)
                self._change.notify_all()
            yield item, answer
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._pool as pool:
                for item, answer in pool.map(self._wanted()):
                    self._put(item, answer)
        except Exception as error:  # not swallowed: raised again in the thread that waits for the items
            self._error = error
        with self._change:
            self._finished = True
            self._change.notify_all()

    def _wanted(self) -> Iterator[Item]:
        for item in self._items:
            if self._abandoned:
                return
            yield item

    def _put(self, item: Item, answer: NDArray[np.float32] | TrackError) -> None:
        with self._change:
            self._change.wait_for(lambda: self._bytes < self._limit or self._abandoned)
            self._ready.append((item, answer))
            self._bytes += getattr(answer, "nbytes", 0)
            self._change.notify_all()
