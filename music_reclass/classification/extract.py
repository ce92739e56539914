"""From files to vectors: readers for worker processes, features on demand, extraction for later stages."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from music_reclass.containers.sniff import payload_digest
from music_reclass.domain import UNWRITABLE, FeatureKind, Track, TrackTags
from music_reclass.errors import BundleError, FailTrack, ReclassError, TrackError
from music_reclass.extractors import registry
from music_reclass.extractors.registry import extractor, network_kinds
from music_reclass.features.library import Library
from music_reclass.features.results import StageStats
from music_reclass.tagging.apply import LASTING
from music_reclass.tagging.read import read_tags
from music_reclass.utils.progress import progress_bar
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from music_reclass.classification.voter import Stage
    from music_reclass.config import Settings
    from music_reclass.domain import Extractor, Vector
    from music_reclass.extractors.audio.load import Clip
    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.network import NetworkExtractor
    from music_reclass.features.database import Database
    from music_reclass.features.results import ScanStats
    from music_reclass.features.scope import Scope
    from music_reclass.utils.progress import Bar, Progress, StopRequest

    Answers = Generator[tuple["TrackPath", dict[FeatureKind, Vector] | TrackError], None, None]

ReadTask = tuple[Track, tuple[bytes, ...]]  # a file, and the digests of audio whose vector is stored
TrackPath = tuple[int, str]  # track id, path

READ_BATCH = 50  # readings in one transaction: what a kill -9 costs at most
SAVE_BATCH = 20  # tracks whose vectors are stored in one transaction
SAVE_SECONDS = 2.0


def read_file(task: ReadTask, kinds: Sequence[FeatureKind], seconds: dict[FeatureKind, float] | None = None) -> Track:
    """Identity, tags and the vectors of `kinds`, all of one excerpt, of one file that is decoded once; never raises for
    a bad file, for worker processes.

    Without a vector of the first kind the track has failed. Another kind that cannot be had is left out: the stage that
    needs it asks for it again and notes why. `seconds` takes what each kind took, the first with all the rest.
    """
    start = time.perf_counter()
    file, stored = task
    digest: bytes | None = None
    duration: float | None = None
    tags = TrackTags()
    warnings: tuple[str, ...] = ()
    vectors: dict[FeatureKind, Vector] = {}
    taken: dict[FeatureKind, float] = {}
    error: TrackError | None = None
    try:
        path = Path(file.path)
        digest, tags = _identify(path, kinds[0])
        if digest not in stored:
            for clip, made in _decoded(path, kinds):
                if not vectors:
                    check_usable(clip)
                    duration, warnings = clip.duration, clip.warnings
                if made.kind not in vectors:
                    began = time.perf_counter()
                    vectors.update(_finite(made, clip) if vectors else registry.vectors(made, clip.samples))
                    taken[made.kind] = time.perf_counter() - began
            warnings += _limits(clip, vectors)
        warnings += _unwritable(path)
        status = os.stat(path)
        if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
            raise FailTrack("changed", "the file changed while it was read; the next scan takes it up")
    except TrackError as problem:
        error, vectors = problem, {}
    except OSError as problem:
        error, vectors = FailTrack(_reason(problem), problem.strerror or str(problem)), {}
    if seconds is not None:
        seconds.update(taken)
        others = sum(spent for kind, spent in taken.items() if kind != kinds[0])
        seconds[kinds[0]] = time.perf_counter() - start - others
    vector = vectors.pop(kinds[0], None)
    return Track(file.path, file.size, file.mtime_ns, digest, duration, tags, warnings, vector, error, more=vectors)


def _identify(path: Path, kind: FeatureKind) -> tuple[bytes, TrackTags]:
    """Digest and tags; where they cannot be had because there is no audio in the file, that is the reason given."""
    try:
        return payload_digest(path), read_tags(path)
    except TrackError:
        for clip, _ in _decoded(path, [kind]):
            check_usable(clip)
        raise


def _decoded(path: Path, kinds: Sequence[FeatureKind]) -> Iterator[tuple[Clip, Extractor]]:
    """Each kind's extractor with the excerpt at its sample rate, of a file that is decoded once, the first kind first.

    The kinds are of one excerpt.
    """
    from music_reclass.extractors.audio import load as audio

    extractors = [_extractor(kind.name, kind.excerpt) for kind in kinds]
    for clip in audio.load_at(path, kinds[0].excerpt, list(dict.fromkeys(made.rate for made in extractors))):
        for made in extractors:
            if made.rate == clip.rate:
                yield clip, made


def _finite(made: Extractor, clip: Clip) -> dict[FeatureKind, Vector]:
    """The vectors of one pass over the clip; none where that fails, whatever the reason is."""
    try:
        vectors = registry.vectors(made, clip.samples)
    except Exception:  # not swallowed: extraction for the stage that lacks the vector meets the same and records it
        return {}
    return {kind: vector for kind, vector in vectors.items() if np.isfinite(vector).all()}


def _limits(clip: Clip, vectors: Mapping[FeatureKind, Vector]) -> tuple[str, ...]:
    """The warning `band-limited` where the recording has nothing above 9 kHz because it was cut off there."""
    from music_reclass.extractors.fma518 import BAND_LIMIT, is_band_limited

    rows = [vector[None] for kind, vector in vectors.items() if kind.name == "fma518"]
    limited = clip.source_rate / 2 < BAND_LIMIT or any(is_band_limited(row)[0] for row in rows)
    return ("band-limited",) if limited else ()


def _unwritable(path: Path) -> tuple[str, ...]:
    """The warning that no genre can be written to the file, whatever the genre is: an edit is made up and thrown away.

    A plan may then leave the file out before anybody is asked.
    """
    from music_reclass.tagging.read import tag_errors
    from music_reclass.tagging.rewrite import write_genres

    try:
        with tag_errors(path), path.open("rb") as file:
            write_genres(["Rock"])(file, path)
    except FailTrack as error:
        return (UNWRITABLE + error.reason,) if error.reason in LASTING else ()
    return ()


def check_usable(clip: Clip) -> None:
    """SkipTrack where the clip is too short or silent."""
    from music_reclass.extractors.audio import load as audio

    audio.check_usable(clip)


def read_vectors(path: Path, kinds: Sequence[FeatureKind]) -> dict[FeatureKind, Vector]:
    """The vectors of `kinds`, all of one excerpt, and what comes with them, of one file that is decoded once, however
    short or silent; for worker processes; raises TrackError."""
    vectors: dict[FeatureKind, Vector] = {}
    for clip, made in _decoded(path, kinds):
        if made.kind not in vectors:
            vectors.update(registry.vectors(made, clip.samples))
    return vectors


def read_windows_of(path: Path, kinds: Sequence[FeatureKind]) -> dict[FeatureKind, Vector]:
    """The vectors of `kinds`, of several excerpts that are decoded once each, of one file, for worker processes.

    A silent excerpt, or one that cannot be had, is left out; raises TrackError where none can be had.
    """
    vectors: dict[FeatureKind, Vector] = {}
    problem: TrackError | None = None
    for excerpt in dict.fromkeys(kind.excerpt for kind in kinds):
        try:
            for clip, made in _decoded(path, [kind for kind in kinds if kind.excerpt == excerpt]):
                check_usable(clip)
                if made.kind not in vectors:
                    vectors.update(registry.vectors(made, clip.samples))
        except TrackError as error:
            problem = error
    if problem is not None and not vectors:
        raise problem
    return vectors


def read_vector(path: Path, kind: str, excerpt: str) -> Vector:
    """The vector of one file, however short or silent, for worker processes; raises TrackError."""
    from music_reclass.extractors.audio import load as audio

    made = _extractor(kind, excerpt)
    return made.vector(audio.load(path, excerpt, made.rate).samples)


@lru_cache(maxsize=32)  # kinds of several excerpts
def _extractor(name: str, excerpt: str) -> Extractor:
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


def read_pending(
    database: Database,
    scope: Scope,
    kinds: Sequence[FeatureKind],
    settings: Settings,
    *,
    stats: ScanStats,
    stop: StopRequest,
    rescan: bool = False,
    bar: Bar = progress_bar,
) -> dict[FeatureKind, StageStats]:
    """Read the pending files of `scope` for vectors of `kinds`, which are of one excerpt, and store them in batches,
    until `stop`; what each kind cost, in seconds of work of all workers together, the first with all the rest.

    Audio of which a vector of the first kind is stored is not decoded. BundleError, MissingWeights or MissingExtra
    where another kind cannot be had.
    """
    total = scope.pending_count()
    costs = {kind: StageStats() for kind in kinds}
    if not total:
        return costs
    require_installed(kinds[1:])
    library = Library(database)

    def tasks() -> Iterator[ReadTask]:
        for file in scope.pending():
            if stop:
                return
            yield file, () if rescan else library.digests_that_may_return(file.path, file.size, kinds[0])

    def save(batch: list[Track]) -> None:
        scope.add(library.save(batch, kinds[0]))
        stats.read += len(batch)
        batch.clear()

    batch: list[Track] = []
    saved = time.monotonic()
    reader = partial(_timed_read, kinds=tuple(kinds))
    jobs = min(settings.workers, total)
    pool = WorkerPool(reader, jobs, settings.timeout, prepare_worker, memory=settings.worker_bytes)
    with bar("reading", total) as progress, pool:
        for (file, _), answer in pool.map(tasks()):
            if isinstance(answer, TrackError):
                answer = Track(file.path, file.size, file.mtime_ns, error=answer), {}
            track, seconds = answer
            for kind, cost in costs.items():
                cost.extracted += kind in track.more or (kind == kinds[0] and track.vector is not None)
                cost.seconds += seconds.get(kind, 0.0)
            batch.append(track)
            progress.advance(1, os.path.basename(file.path)[:40])
            if len(batch) >= READ_BATCH or time.monotonic() - saved > SAVE_SECONDS:
                save(batch)
                saved = time.monotonic()
        save(batch)
    return costs


def _timed_read(task: ReadTask, kinds: Sequence[FeatureKind]) -> tuple[Track, dict[FeatureKind, float]]:
    seconds: dict[FeatureKind, float] = {}
    return read_file(task, kinds, seconds), seconds


@dataclass(slots=True)
class OnDemandFeatures:
    """A feature source for the track `number` at `path` and, through `stored`, for the others of its album.

    What is not stored is extracted if `may_extract`. `known`: vectors by kind, also those made here; `seconds`: what
    extraction took, with loading what it needs; `failed`: why it could not be done.
    """

    number: int
    path: Path
    placement: Placement
    stored: Library | None = None
    may_extract: bool = True
    known: dict[FeatureKind, Vector] = field(default_factory=dict)
    seconds: dict[FeatureKind, float] = field(default_factory=dict)
    failed: dict[FeatureKind, TrackError] = field(default_factory=dict)

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, Vector]:
        """The vectors of those of `track_ids` that have one of `kind`, or get one now."""
        wanted = list(track_ids)
        found = {} if self.stored is None else self.stored.vectors(wanted, kind)
        if self.number in wanted:
            vector = self.known.get(kind, found.get(self.number))
            if vector is None and self.may_extract and kind not in self.failed:
                vector = self._extracted(kind)
            if vector is not None:
                self.known[kind] = found[self.number] = vector
        return found

    def _extracted(self, kind: FeatureKind) -> Vector | None:
        from music_reclass.extractors.audio import load as audio

        start = time.perf_counter()
        made = extractor(kind.name, kind.excerpt, self.placement)
        if made.kind != kind:  # other weights than those the stage learned from: it does not vote
            return None
        try:
            vectors = registry.vectors(made, audio.load(self.path, kind.excerpt, made.rate).samples)
        except TrackError as error:
            self.failed[kind] = error
            return None
        self.known.update(vectors)
        self.seconds[kind] = time.perf_counter() - start
        return vectors[kind]


class ExtractionRunner:
    """Extracts vectors of any kind for tracks of the library, and stores each as it is done.

    Kinds of a network run in batches that span files, on the device of the settings, in this process; workers decode
    for it. Networks stay loaded from call to call, until `release`. All other kinds are computed whole in workers.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._library = Library(database)
        self._settings = settings
        self._networks: dict[FeatureKind, NetworkExtractor] = {}
        self._announced: set[FeatureKind] = set()  # whose loading was shown

    @property
    def in_pieces(self) -> int:
        """How many windows were computed in pieces so far, because they did not fit into the memory of the device."""
        return sum(opened.network.chunked for opened in self._networks.values())

    @property
    def places(self) -> dict[str, str]:
        """Where the networks run that were opened so far, for people, by the names of their kinds."""
        devices = {kind.name: opened.network.device for kind, opened in self._networks.items()}
        return {name: "the processor" if one.is_cpu else one.name for name, one in devices.items()}

    def release(self) -> None:
        """Free the memory that networks hold: a stage is done with all tracks it was asked about."""
        self._announced.clear()
        for opened in self._networks.values():
            opened.network.release()

    def extract(
        self, tracks: Sequence[TrackPath], kind: FeatureKind, stop: Callable[[], bool], progress: Progress
    ) -> dict[int, TrackError | None]:
        """What became of each track that was reached before `stop`: None where its vector of `kind` is stored now.

        `stop` ends it in order: what is under way is kept. BundleError where the extractor at hand makes vectors of
        another version. Raises OutOfMemory.
        """
        found: dict[int, TrackError | None] = {}
        if not tracks or stop():
            return found
        if kind.name in network_kinds():
            if kind not in self._announced:
                self._announced.add(kind)
                progress.advance(0, f"loading {kind.name}")  # and measuring its memory: no track comes for a while
            answers = self._embedded(tracks, kind, stop)
        else:
            reader = partial(_or_why_not, reader=partial(read_vectors, kinds=(kind,)))
            answers = self._whole(tracks, reader, (kind,), stop)
        self._store(answers, found, progress)
        return found

    def extract_windows(
        self, tracks: Sequence[TrackPath], kinds: Sequence[FeatureKind], stop: Callable[[], bool], progress: Progress
    ) -> None:
        """Store the vectors of `kinds`, of excerpts beside the middle, of those of `tracks` that are reached before
        `stop`; an excerpt that is silent or cannot be read has none."""
        self._store(self._whole(tracks, partial(read_windows_of, kinds=tuple(kinds)), kinds, stop), {}, progress)

    def _store(self, answers: Answers, found: dict[int, TrackError | None], progress: Progress) -> None:
        """Store vectors as they come; `found` takes what became of each track."""
        with closing(answers), _WriteBuffer(self._library) as buffer:
            for (track, path), answer in answers:
                if isinstance(answer, TrackError):
                    found[track] = answer
                else:
                    found[track] = None
                    buffer.put(track, answer)
                progress.advance(1, os.path.basename(path)[:40])

    def _whole(
        self,
        tracks: Sequence[TrackPath],
        reader: Callable[[Path], dict[FeatureKind, Vector] | ReclassError],
        kinds: Iterable[FeatureKind],
        stop: Callable[[], bool],
    ) -> Answers:
        """The vectors of `kinds` that workers compute whole, and what comes with them from the same pass."""
        require_installed(kinds)
        jobs = min(self._settings.workers, len(tracks))
        memory = self._settings.worker_bytes
        with WorkerPool(
            partial(_read_track, reader=reader), jobs, self._settings.timeout, prepare_worker, memory=memory
        ) as pool:
            for item, answer in pool.map(_until(stop, tracks)):
                if isinstance(answer, ReclassError):
                    raise answer  # of the model, not of this recording
                yield item, answer

    def _embedded(self, tracks: Sequence[TrackPath], kind: FeatureKind, stop: Callable[[], bool]) -> Answers:
        """The vectors of a kind that a network gives, and of what it gives besides."""
        from music_reclass.extractors.pipeline import embed, read_windows

        network = self._network(kind)
        jobs = min(self._settings.workers, len(tracks))
        reader = partial(
            _read_track, reader=partial(read_windows, kind=network.kind.name, excerpt=network.kind.excerpt)
        )
        timeout, memory = self._settings.timeout, self._settings.worker_bytes
        answers = embed(tracks, reader, network, jobs=jobs, timeout=timeout, memory=memory, stop=stop)
        with closing(answers):
            for item, answer in answers:
                if isinstance(answer, TrackError):
                    yield item, answer
                else:
                    yield item, {kind: answer}

    def _network(self, kind: FeatureKind) -> NetworkExtractor:
        if kind not in self._networks:
            from music_reclass.extractors.device import Placement
            from music_reclass.extractors.pipeline import network_extractor

            opened = network_extractor(kind.name, kind.excerpt, Placement.from_settings(self._settings))
            _require_kind(opened.kind, kind)
            self._networks[kind] = opened
        return self._networks[kind]


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


T = TypeVar("T")


def _read_track(item: TrackPath, reader: Callable[[Path], T]) -> T:
    return reader(Path(item[1]))


def _or_why_not(path: Path, reader: Callable[[Path], T]) -> T | ReclassError:
    """What `reader` makes of the file; as a value, for its way between processes, why it can make nothing of any file:
    damaged weights."""
    try:
        return reader(path)
    except ReclassError as error:
        return ReclassError(str(error))


def _until(stop: Callable[[], bool], items: Iterable[TrackPath]) -> Iterator[TrackPath]:
    for item in items:
        if stop():
            return
        yield item


def require_installed(kinds: Iterable[FeatureKind]) -> None:
    """BundleError unless the extractors at hand make vectors of these very `kinds`; MissingWeights, MissingExtra."""
    for kind in kinds:
        _require_kind(extractor(kind.name, kind.excerpt).kind, kind)


def _require_kind(at_hand: FeatureKind, wanted: FeatureKind) -> None:
    if at_hand != wanted:
        raise BundleError(
            f"A stage was trained on vectors {wanted.key}, and what is installed makes {at_hand.key}; install the "
            "weights that the stage was trained with (reclass models), or leave the stage out with --stages."
        )


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
    runner: ExtractionRunner,
    *,
    stop: Callable[[], bool],
    bar: Bar = progress_bar,
) -> None:
    """Store every vector that `stages` need of `tracks` and that is not stored, until `stop`.

    A kind is extracted only for tracks that have the kinds before it.
    """
    library = Library(database)
    left = list(tracks)
    for kind in _kinds(stages):
        stored = library.having(left, kind)
        paths = library.paths(track for track in left if track not in stored)
        if paths and not stop():
            with bar(kind.name, len(paths)) as progress:
                answers = runner.extract(list(paths.items()), kind, stop, progress)
            stored.update(track for track, error in answers.items() if error is None)
        left = [track for track in left if track in stored]


def _kinds(stages: Sequence[Stage]) -> list[FeatureKind]:
    return list(dict.fromkeys(kind for stage in stages for kind in stage.kinds))
