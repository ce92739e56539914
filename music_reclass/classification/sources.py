"""Where the vectors of the later stages come from: the files, listened to once and stored as they are done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from music_reclass.classification.reading import VectorReader, prepare_worker
from music_reclass.errors import BundleError, TrackError
from music_reclass.extractors import pipeline
from music_reclass.extractors.registry import extractor
from music_reclass.features.store import Library
from music_reclass.utils.device import Placement
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, Vector
    from music_reclass.extractors.pipeline import Layered, Windowed
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import Progress

    Numbered = tuple[int, str]  # track id, path
    Answers = Generator[tuple[Numbered, dict[FeatureKind, Vector] | TrackError], None, None]

SAVE_BATCH = 20
SAVE_SECONDS = 2.0
_STORED_BATCH = 200  # vectors of all layers read at once: 8 MB


@dataclass(frozen=True, slots=True)
class NumberedReader:
    """Callable that reads one (track id, path); picklable, for worker processes. Raises TrackError."""

    reader: Callable[[Path], Vector]

    def __call__(self, item: Numbered) -> Vector:
        return self.reader(Path(item[1]))


@dataclass(slots=True)
class Hearing:
    """What listening to some tracks gave; tracks in neither were not reached."""

    heard: set[int] = field(default_factory=set)
    missed: dict[int, TrackError] = field(default_factory=dict)


class Listener:
    """Listens to tracks of the library for vectors of any kind, and stores each as it is done.

    Kinds of a network run in batches that span files, on the device of the settings, in this process; workers decode
    for it. Networks stay loaded from call to call, until `rest`. All other kinds are computed whole in workers.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._library = Library(database)
        self._settings = settings
        self._placement = Placement(settings.device, settings.gpu_memory, settings.precision)
        self._networks: dict[FeatureKind, Windowed] = {}
        self._wide: dict[FeatureKind, Layered | None] = {}

    @property
    def pieced(self) -> int:
        """How many windows were computed in pieces so far, because they did not fit into the memory of the device."""
        return sum(own.network.pieced for own in self._opened())

    def rest(self) -> None:
        """Free the memory that networks hold: a stage has listened to all it was asked about."""
        for own in self._opened():
            own.network.release()

    def _opened(self) -> list[Windowed]:
        return [*self._networks.values(), *(layers for layers in self._wide.values() if layers is not None)]

    def listen(
        self, tracks: Sequence[Numbered], kind: FeatureKind, stop: Callable[[], bool], progress: Progress
    ) -> Hearing:
        """Listen to `tracks` for vectors of `kind` until `stop`, which ends it in order: what is under way is kept.

        BundleError where the extractor at hand makes vectors of another version. Raises OutOfMemory.
        """
        cut = self._cut_from_layers(tracks, kind)
        progress.advance(len(cut))
        hearing = Hearing(set(cut))
        todo = [item for item in tracks if item[0] not in cut]
        if not todo or stop():
            return hearing
        answers = (self._embedded if kind.name in pipeline.network_kinds() else self._whole)(todo, kind, stop)
        with closing(answers), _Shelf(self._library) as shelf:
            for (track, path), answer in answers:
                if isinstance(answer, TrackError):
                    hearing.missed[track] = answer
                else:
                    hearing.heard.add(track)
                    shelf.put(track, answer)
                progress.advance(1, os.path.basename(path)[:40])
        return hearing

    def _whole(self, tracks: Sequence[Numbered], kind: FeatureKind, stop: Callable[[], bool]) -> Answers:
        """The vectors of a kind that workers compute whole."""
        _agree(extractor(kind.name, kind.excerpt).kind, kind)
        reader = NumberedReader(VectorReader(kind.name, kind.excerpt))
        jobs = min(self._settings.workers, len(tracks))
        with WorkerPool(reader, jobs, self._settings.timeout, prepare_worker) as pool:
            for item, answer in pool.map(_until(stop, tracks)):
                yield item, answer if isinstance(answer, TrackError) else {kind: answer}

    def _embedded(self, tracks: Sequence[Numbered], kind: FeatureKind, stop: Callable[[], bool]) -> Answers:
        """The vectors of a kind that a network gives, and of what it gives besides."""
        layers = self._layers(kind) if self._settings.all_layers else None
        network = layers or self._network(kind)
        # Where the network itself runs on the processor, more than one worker would only take its time away.
        jobs = 1 if network.network.device.is_cpu else min(self._settings.workers, len(tracks))
        reader = NumberedReader(pipeline.WindowReader(network.kind.name, network.kind.excerpt))
        answers = pipeline.embed(tracks, reader, network, jobs=jobs, timeout=self._settings.timeout, stop=stop)
        with closing(answers):
            for item, answer in answers:
                if isinstance(answer, TrackError):
                    yield item, answer
                else:
                    yield item, {kind: answer} if layers is None else layers.parts(answer)

    def _network(self, kind: FeatureKind) -> Windowed:
        if kind not in self._networks:
            opened = pipeline.open_extractor(kind.name, kind.excerpt, self._placement)
            _agree(opened.kind, kind)
            self._networks[kind] = opened
        return self._networks[kind]

    def _layers(self, kind: FeatureKind) -> Layered | None:
        """The network whose vectors hold those of `kind` among all layers, if there is one."""
        if kind not in self._wide:
            self._network(kind)  # the weights must be the right ones
            self._wide[kind] = pipeline.open_layers(kind.name, kind.excerpt, self._placement)
        return self._wide[kind]

    def _cut_from_layers(self, tracks: Sequence[Numbered], kind: FeatureKind) -> set[int]:
        """Store the vectors of `kind` that stored vectors of all layers hold; the tracks that have one now."""
        layers = self._layers(kind) if kind.name in pipeline.network_kinds() else None
        if layers is None:
            return set()
        done: set[int] = set()
        for start in range(0, len(tracks), _STORED_BATCH):
            ids = [track for track, _ in tracks[start : start + _STORED_BATCH]]
            found = self._library.vectors(ids, layers.kind)
            held = {track: layers.parts(vector) for track, vector in found.items()}
            own = {track: parts[kind] for track, parts in held.items() if kind in parts}
            self._library.add_vectors(own, kind)
            done.update(own)
        return done


class _Shelf:
    """Vectors on their way into the library: stored in batches, and whatever ends the block, stored at its end."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._waiting: dict[FeatureKind, dict[int, Vector]] = {}
        self._count = 0
        self._stored = time.monotonic()

    def __enter__(self) -> _Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self._store()

    def put(self, track: int, vectors: dict[FeatureKind, Vector]) -> None:
        """Take the vectors of a track, by kind."""
        for kind, vector in vectors.items():
            self._waiting.setdefault(kind, {})[track] = vector
        self._count += 1
        if self._count >= SAVE_BATCH or time.monotonic() - self._stored > SAVE_SECONDS:
            self._store()

    def _store(self) -> None:
        for kind, vectors in self._waiting.items():
            self._library.add_vectors(vectors, kind)
        self._waiting, self._count, self._stored = {}, 0, time.monotonic()


def _until(stop: Callable[[], bool], items: Iterable[Numbered]) -> Iterator[Numbered]:
    for item in items:
        if stop():
            return
        yield item


def _agree(at_hand: FeatureKind, wanted: FeatureKind) -> None:
    if at_hand != wanted:
        raise BundleError(
            f"a stage was trained on vectors {wanted.key}, and what is installed makes {at_hand.key}; install the "
            "weights that the stage was trained with (reclass models), or leave the stage out with --stages."
        )
