"""From files to vectors: worker readers, on-demand features of one file, and extraction for later stages."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from music_reclass.containers.sniff import payload_digest
from music_reclass.domain import FeatureKind, TrackTags
from music_reclass.errors import BundleError, FailTrack, TrackError
from music_reclass.extractors import pipeline
from music_reclass.extractors.device import Placement
from music_reclass.extractors.registry import extractor
from music_reclass.features.library import Library, Reading
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Extractor, TagReader, Vector
    from music_reclass.extractors.audio.load import Clip
    from music_reclass.extractors.pipeline import Layered, Windowed
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import Progress

    Numbered = tuple[int, str]  # track id, path
    Answers = Generator[tuple[Numbered, dict[FeatureKind, Vector] | TrackError], None, None]
    from music_reclass.classification.voter import Stage
    from music_reclass.utils.progress import Bar


@dataclass(frozen=True, slots=True)
class ReadTask:
    """One file to read. Audio with one of the `stored` digests has its vector in the library."""

    path: str
    size: int
    mtime_ns: int
    stored: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class FileReader:
    """Callable that reads one file into a Reading; picklable, for worker processes. Never raises for a bad file."""

    kind: FeatureKind
    read_tags: TagReader

    def __call__(self, task: ReadTask) -> Reading:
        digest: bytes | None = None
        duration: float | None = None
        tags = TrackTags()
        warnings: tuple[str, ...] = ()
        vector: Vector | None = None
        error: TrackError | None = None
        try:
            path = Path(task.path)
            digest, tags = self._identify(path)
            if digest not in task.stored:
                clip, vector = self._extract(path)
                duration, warnings = clip.duration, clip.warnings
            status = os.stat(path)
            if (status.st_size, status.st_mtime_ns) != (task.size, task.mtime_ns):
                raise FailTrack("changed", "the file changed while it was read; the next scan takes it up")
        except TrackError as problem:
            error, vector = problem, None
        except OSError as problem:
            error, vector = FailTrack(_reason(problem), problem.strerror or str(problem)), None
        return Reading(task.path, task.size, task.mtime_ns, digest, duration, tags, warnings, vector, error)

    def _identify(self, path: Path) -> tuple[bytes, TrackTags]:
        """Digest and tags; where they cannot be had because there is no sound in the file, that is the reason given."""
        try:
            return payload_digest(path), self.read_tags(path)
        except TrackError:
            self._extract(path)
            raise

    def _extract(self, path: Path) -> tuple[Clip, Vector]:
        from music_reclass.extractors.audio import load as audio

        extractor = _extractor(self.kind.name, self.kind.excerpt)
        clip = audio.load(path, self.kind.excerpt, extractor.rate)
        audio.check_usable(clip)
        return clip, extractor.vector(clip.samples)


@dataclass(frozen=True, slots=True)
class VectorReader:
    """Callable that gives the vector of one file, however short or silent; raises TrackError."""

    kind: str
    excerpt: str

    def __call__(self, path: Path) -> Vector:
        from music_reclass.extractors.audio import load as audio

        extractor = _extractor(self.kind, self.excerpt)
        return extractor.vector(audio.load(path, self.excerpt, extractor.rate).samples)


@lru_cache(maxsize=4)
def _extractor(name: str, excerpt: str) -> Extractor:
    from music_reclass.extractors.registry import extractor

    return extractor(name, excerpt)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "vanished"
    return "permission" if isinstance(error, PermissionError) else "io"


def prepare_worker() -> None:
    """Silence the decoders and load what every file needs, once for each worker."""
    import music_reclass.extractors.audio.load
    import music_reclass.extractors.fma518  # noqa: F401 - warm before the first file's clock starts
    from music_reclass.extractors.audio.sndfile import quiet_decoders

    quiet_decoders()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for good; PyAV prints what its callbacks raise there


@dataclass(slots=True)
class OnDemandFeatures:
    """A feature source for the track `number` at `path` and, through `stored`, for the others of its album.

    What is not stored is listened to if `listens`. `known`: vectors by kind, also those made here; `seconds`: what
    listening took, with loading what it needs; `missed`: why it could not be done.
    """

    number: int
    path: Path
    placement: Placement
    stored: Library | None = None
    listens: bool = True
    known: dict[FeatureKind, Vector] = field(default_factory=dict)
    seconds: dict[FeatureKind, float] = field(default_factory=dict)
    missed: dict[FeatureKind, TrackError] = field(default_factory=dict)

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, Vector]:
        """The vectors of those of `track_ids` that have one of `kind`, or get one now."""
        wanted = list(track_ids)
        found = {} if self.stored is None else self.stored.vectors(wanted, kind)
        if self.number in wanted:
            own = self.known.get(kind, found.get(self.number))
            if own is None and self.listens and kind not in self.missed:
                own = self._listened(kind)
            if own is not None:
                self.known[kind] = found[self.number] = own
        return found

    def _listened(self, kind: FeatureKind) -> Vector | None:
        from music_reclass.extractors import pipeline
        from music_reclass.extractors.audio import load as audio
        from music_reclass.extractors.registry import extractor

        start = time.perf_counter()
        made: Any
        if kind.name in pipeline.network_kinds():
            made = pipeline.open_extractor(kind.name, kind.excerpt, self.placement)
        else:
            made = extractor(kind.name, kind.excerpt)
        if made.kind != kind:  # other weights than those the stage learned from: it does not vote
            return None
        try:
            vector: Vector = made.vector(audio.load(self.path, kind.excerpt, made.rate).samples)
        except TrackError as error:
            self.missed[kind] = error
            return None
        self.seconds[kind] = time.perf_counter() - start
        return vector


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
class ExtractionResult:
    """What listening to some tracks gave; tracks in neither were not reached."""

    heard: set[int] = field(default_factory=set)
    missed: dict[int, TrackError] = field(default_factory=dict)


class ExtractionRunner:
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
    ) -> ExtractionResult:
        """Listen to `tracks` for vectors of `kind` until `stop`, which ends it in order: what is under way is kept.

        BundleError where the extractor at hand makes vectors of another version. Raises OutOfMemory.
        """
        cut = self._cut_from_layers(tracks, kind)
        progress.advance(len(cut))
        hearing = ExtractionResult(set(cut))
        todo = [item for item in tracks if item[0] not in cut]
        if not todo or stop():
            return hearing
        answers = (self._embedded if kind.name in pipeline.network_kinds() else self._whole)(todo, kind, stop)
        with closing(answers), _WriteBuffer(self._library) as shelf:
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


class _WriteBuffer:
    """Vectors on their way into the library: stored in batches, and whatever ends the block, stored at its end."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._waiting: dict[FeatureKind, dict[int, Vector]] = {}
        self._count = 0
        self._stored = time.monotonic()

    def __enter__(self) -> _WriteBuffer:
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


class Extracts(Protocol):
    """Stores vectors of tracks as it listens to them; `sources.Listener` does."""

    def listen(
        self, tracks: Sequence[tuple[int, str]], kind: FeatureKind, stop: Callable[[], bool], progress: Progress
    ) -> ExtractionResult:
        """Listen to (id, path) for vectors of `kind` until `stop`."""
        ...


def missing_vectors(database: Database, stages: Sequence[Stage], tracks: Sequence[int]) -> dict[str, int]:
    """How many of `tracks` have no stored vector of a kind that `stages` need, by the kind's name; those with none
    are left out."""
    library = Library(database)
    counts = {kind.name: len(tracks) - len(library.having(tracks, kind)) for kind in _kinds(stages)}
    return {name: count for name, count in counts.items() if count}


def extract_missing(
    database: Database,
    stages: Sequence[Stage],
    tracks: Sequence[int],
    runner: Extracts,
    stop: Callable[[], bool],
    bar: Bar,
) -> None:
    """Store every vector that `stages` need of `tracks` and that is not stored, until `stop`.

    A kind is listened for only where the kinds before it could be heard.
    """
    library = Library(database)
    left = list(tracks)
    for kind in _kinds(stages):
        stored = library.having(left, kind)
        missing = [track for track in left if track not in stored]
        paths = library.paths(missing)
        if paths and not stop():
            with bar(kind.name, len(paths)) as progress:
                hearing = runner.listen(
                    [(track, paths[track]) for track in missing if track in paths], kind, stop, progress
                )
            stored.update(hearing.heard)
        left = [track for track in left if track in stored]


def _kinds(stages: Sequence[Stage]) -> list[FeatureKind]:
    return list(dict.fromkeys(kind for stage in stages for kind in stage.kinds))
