"""Extraction of many files through one network: workers decode ahead, batches span files."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np

from music_reclass.errors import TrackError
from music_reclass.extractors.registry import EXTRACTORS, extractor
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.network import NetworkExtractor

Item = TypeVar("Item")
AHEAD_OF_GPU = 256 * 1024**2  # bytes of windows decoded ahead: several batches
AHEAD_OF_CPU = 16 * 1024**2


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


def all_layers_extractor(kind: str, excerpt: str, placement: Placement) -> NetworkExtractor | None:
    """The extractor of all layers whose vectors hold those of `kind`; None where there is none. MissingWeights."""
    name = f"{kind}-layers"
    return network_extractor(name, excerpt, placement) if name in EXTRACTORS else None


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
) -> Generator[tuple[Item, NDArray[np.float32] | TrackError], None, None]:
    """Each item with its vector or what was wrong with it, as it is done; a TrackError never ends the run.

    `read` runs in `jobs` worker processes (one is enough where the network runs on the processor) and gives the
    windows of one item. `items` are drawn in another thread: they must not come from a database cursor. Once
    `stop` is true no track is begun; those under way still come. Closing the iterator ends everything.
    """
    limit = AHEAD_OF_CPU if network.network.device.is_cpu else AHEAD_OF_GPU
    pool = WorkerPool(read, jobs, timeout, prepare, memory=memory)
    with _DecodedAhead(items, pool, limit) as tracks:
        yield from assembled(tracks, network, stop)


def assembled(
    tracks: Iterable[tuple[Item, NDArray[np.float32] | TrackError]],
    network: NetworkExtractor,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Item, NDArray[np.float32] | TrackError]]:
    """Vectors of tracks whose windows share batches; an item that comes with an error goes out with it."""
    begun: deque[tuple[Item, int, list[NDArray[np.float32]]]] = deque()  # with the number of windows, and rows so far
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


def _pooled(network: NetworkExtractor, rows: list[NDArray[np.float32]]) -> NDArray[np.float32] | TrackError:
    try:
        return network.pool(np.stack(rows))
    except TrackError as error:
        return error


class _DecodedAhead(Generic[Item]):
    """Iterates over items with their windows while a thread keeps the workers busy, up to `limit` bytes ahead."""

    def __init__(self, items: Iterable[Item], pool: WorkerPool[Item, NDArray[np.float32]], limit: int) -> None:
        self._items, self._pool, self._limit = items, pool, limit
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
        self._thread.join()  # the workers finish the file that each is at

    def __iter__(self) -> Iterator[tuple[Item, NDArray[np.float32] | TrackError]]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._ready or self._finished)
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
