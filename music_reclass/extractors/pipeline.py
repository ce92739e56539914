"""Many files through a network: workers decode ahead, batches span files, vectors come as they are done."""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

import numpy as np

from music_reclass.errors import TrackError
from music_reclass.extractors.registry import EXTRACTORS
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.domain import FeatureKind
    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.network import Network

Item = TypeVar("Item")
AHEAD_OF_GPU = 256 * 1024**2  # bytes of windows decoded ahead: several batches
AHEAD_OF_CPU = 16 * 1024**2


class Windowed(Protocol):
    """An extractor whose work is a network over equal windows: MERT and OpenJMLA."""

    kind: FeatureKind
    rate: int
    network: Network

    def windows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The windows of one recording, (n, ...), n >= 1."""
        ...

    def pool(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector of one recording from the rows of its windows; raises FailTrack."""
        ...


class Layered(Windowed, Protocol):
    """One whose vectors hold those of another kind: MERT with all layers."""

    def parts(self, vector: NDArray[np.float32]) -> dict[FeatureKind, NDArray[np.float32]]:
        """The vector by its kind, and those that it holds."""
        ...


@dataclass(frozen=True, slots=True)
class WindowReader:
    """Callable that gives the windows of one file; picklable, for worker processes. Raises TrackError."""

    kind: str
    excerpt: str

    def __call__(self, path: str | Path) -> NDArray[np.float32]:
        from music_reclass.extractors.audio import load as audio

        extractor = _windowed(self.kind, self.excerpt)
        clip = audio.load(Path(path), self.excerpt, extractor.rate)
        audio.check_usable(clip)
        return extractor.windows(clip.samples)


def network_kinds() -> frozenset[str]:
    """The feature kinds that go through `embed`; all others are computed whole in a worker."""
    from music_reclass.extractors.weights.catalogue import MODELS

    return frozenset(kind for model in MODELS.values() if model.extra == "neural" for kind in model.kinds)


def open_extractor(kind: str, excerpt: str, placement: Placement) -> Windowed:
    """The extractor of one of `network_kinds` at a placement. MissingWeights, MissingExtra."""
    module, factory = EXTRACTORS[kind].split(":")
    return cast(Windowed, getattr(importlib.import_module(module), factory)(excerpt, placement))


def open_layers(kind: str, excerpt: str, placement: Placement) -> Layered | None:
    """The extractor of all layers whose vectors hold those of `kind`; None where there is none. MissingWeights."""
    name = f"{kind}-layers"
    return cast(Layered, open_extractor(name, excerpt, placement)) if name in EXTRACTORS else None


@lru_cache(maxsize=4)
def _windowed(kind: str, excerpt: str) -> Windowed:
    from music_reclass.extractors.registry import extractor

    return cast(Windowed, extractor(kind, excerpt))


def prepare_worker() -> None:
    """Silence the decoders, once for each worker, and load them before the first file's clock starts."""
    import music_reclass.extractors.audio.load  # noqa: F401
    from music_reclass.extractors.audio.sndfile import quiet_decoders

    quiet_decoders()


def embed(
    items: Iterable[Item],
    read: Callable[[Item], NDArray[np.float32]],
    extractor: Windowed,
    *,
    jobs: int,
    timeout: float,
    prepare: Callable[[], None] | None = prepare_worker,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[tuple[Item, NDArray[np.float32] | TrackError], None, None]:
    """Each item with its vector or what was wrong with it, as it is done; a TrackError never ends the run.

    `read` runs in `jobs` worker processes (one is enough where the network runs on the processor) and gives the
    windows of one item. `items` are drawn in another thread: they must not come from a database cursor. Once
    `stop` is true no track is begun; those under way still come. Closing the iterator ends everything.
    """
    limit = AHEAD_OF_CPU if extractor.network.device.is_cpu else AHEAD_OF_GPU
    with _DecodedAhead(items, read, jobs, timeout, prepare, limit) as tracks:
        yield from assembled(tracks, extractor, stop)


@dataclass(slots=True)
class _Begun(Generic[Item]):
    item: Item
    windows: int
    rows: list[NDArray[np.float32]] = field(default_factory=list)


def assembled(
    tracks: Iterable[tuple[Item, NDArray[np.float32] | TrackError]],
    extractor: Windowed,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Item, NDArray[np.float32] | TrackError]]:
    """Vectors of tracks whose windows share batches; an item that comes with an error goes out with it."""
    begun: deque[_Begun[Item]] = deque()
    failed: deque[tuple[Item, TrackError]] = deque()

    def windows() -> Iterator[NDArray[np.float32]]:
        for item, answer in tracks:
            if stop():
                return
            if isinstance(answer, TrackError):
                failed.append((item, answer))
                continue
            begun.append(_Begun(item, len(answer)))
            yield from answer

    for row in extractor.network.map(windows()):
        while failed:
            yield failed.popleft()
        track = begun[0]
        track.rows.append(row)
        if len(track.rows) == track.windows:
            begun.popleft()
            yield track.item, _pooled(extractor, track.rows)
    yield from failed


def _pooled(extractor: Windowed, rows: list[NDArray[np.float32]]) -> NDArray[np.float32] | TrackError:
    try:
        return extractor.pool(np.stack(rows))
    except TrackError as error:
        return error


class _DecodedAhead(Generic[Item]):
    """Iterates over items with their windows while a thread keeps the workers busy, up to `limit` bytes ahead."""

    def __init__(
        self,
        items: Iterable[Item],
        read: Callable[[Item], NDArray[np.float32]],
        jobs: int,
        timeout: float,
        prepare: Callable[[], None] | None,
        limit: int,
    ) -> None:
        self._items, self._limit = items, limit
        self._pool: WorkerPool[Item, NDArray[np.float32]] = WorkerPool(read, jobs, timeout, prepare)
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
