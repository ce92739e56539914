"""Files into vectors: what a worker does with one file, and the backends that do it for many."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from music_reclass.containers.sniff import payload_digest
from music_reclass.domain import UNWRITABLE, FeatureKind, Track, TrackTags
from music_reclass.errors import BundleError, FailTrack, TrackError
from music_reclass.extractors import registry
from music_reclass.extractors.memory import workers_for
from music_reclass.extractors.registry import extractor
from music_reclass.tagging.apply import LASTING
from music_reclass.tagging.read import read_tags
from music_reclass.utils.files import mtime_ns, read_ahead
from music_reclass.utils.workers import Meter, WorkerPool

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Extractor, Vector
    from music_reclass.extractors.audio.load import Clip
    from music_reclass.extractors.network import NetworkExtractor

ReadTask = tuple[Track, tuple[bytes, ...]]  # a file, and the digests of audio whose vector is stored
TrackPath = tuple[int, str]  # track id, path
Item = TypeVar("Item", ReadTask, TrackPath)
Result = TypeVar("Result")


class Backend(Protocol):
    """Where files are read and networks compute. Closing an iterator of it ends what is under way at once."""

    def map(
        self, read: Callable[[Item], Result], items: Iterable[Item], stop: Callable[[], bool]
    ) -> Generator[tuple[Item, Result | TrackError], None, None]:
        """Each item with what `read`, a picklable function, makes of it, in the order of completion; what went wrong
        with one comes back as its result. Items are a ReadTask or a TrackPath; `path_of` tells which file is meant.

        `items` are drawn in the thread of the caller. Once `stop` is true none is begun; all under way still come.
        """
        ...

    def embed(
        self, tracks: Sequence[TrackPath], kind: FeatureKind, stop: Callable[[], bool]
    ) -> Generator[tuple[TrackPath, Vector | TrackError], None, None]:
        """Each track with its vector of `kind`, which a network gives; once `stop` is true no track is begun.

        BundleError where the network at hand makes vectors of another version. Raises OutOfMemory, DeviceError.
        """
        ...

    def release(self) -> None:
        """Free the memory that networks hold."""
        ...

    @property
    def in_pieces(self) -> int:
        """How many windows were computed in pieces so far, because they did not fit into the memory of the device."""
        ...

    @property
    def places(self) -> dict[str, str]:
        """Where the networks compute that were opened so far, for people, by the names of their kinds."""
        ...

    @property
    def bottleneck(self) -> str:
        """What the work of now waits for most, measured: `disk`, `CPU` or `GPU`; empty while that is not known."""
        ...


class LocalBackend:
    """The backend of this machine: files are read in worker processes; networks compute in this process, on the device
    of the settings, in batches that span files, while workers decode for them. They stay loaded from call to call."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._networks: dict[FeatureKind, NetworkExtractor] = {}
        self._meter = Meter()

    @property
    def in_pieces(self) -> int:
        return sum(opened.network.chunked for opened in self._networks.values())

    @property
    def places(self) -> dict[str, str]:
        devices = {kind.name: opened.network.device for kind, opened in self._networks.items()}
        return {name: "the processor" if one.is_cpu else one.name for name, one in devices.items()}

    @property
    def bottleneck(self) -> str:
        return self._meter.bottleneck

    def release(self) -> None:
        for opened in self._networks.values():
            opened.network.release()

    def map(
        self, read: Callable[[Item], Result], items: Iterable[Item], stop: Callable[[], bool]
    ) -> Generator[tuple[Item, Result | TrackError], None, None]:
        timeout, memory = self._settings.timeout, self._settings.worker_bytes
        meter = self._meter = Meter()
        wanted = takewhile(lambda _: not stop(), read_ahead(items, path_of))
        with WorkerPool(
            read, workers_for(self._settings), timeout, prepare_worker, memory=memory, ahead=2, meter=meter
        ) as pool:
            yield from pool.map(wanted)

    def embed(
        self, tracks: Sequence[TrackPath], kind: FeatureKind, stop: Callable[[], bool]
    ) -> Generator[tuple[TrackPath, Vector | TrackError], None, None]:
        from music_reclass.extractors.pipeline import embed, read_windows

        network = self._network(kind)
        reader = partial(read_track, reader=partial(read_windows, kind=kind.name, excerpt=kind.excerpt))
        jobs, timeout, memory = workers_for(self._settings), self._settings.timeout, self._settings.worker_bytes
        meter = self._meter = Meter()
        ahead = read_ahead(tracks, path_of)
        with closing(
            embed(ahead, reader, network, jobs=jobs, timeout=timeout, memory=memory, stop=stop, meter=meter)
        ) as answers:
            yield from answers

    def _network(self, kind: FeatureKind) -> NetworkExtractor:
        if kind not in self._networks:
            from music_reclass.extractors.device import Placement
            from music_reclass.extractors.pipeline import network_extractor

            opened = network_extractor(kind.name, kind.excerpt, Placement.from_settings(self._settings))
            require_kind(opened.kind, kind)
            self._networks[kind] = opened
        return self._networks[kind]


def read_file(task: ReadTask, kinds: Sequence[FeatureKind], seconds: dict[FeatureKind, float] | None = None) -> Track:
    """Identity, tags and the vectors of `kinds`, all of one excerpt, of one file that is decoded once; never raises for
    a bad file, for worker processes.

    Without a vector of the first kind the track has failed. Another kind that cannot be had is left out: the stage that
    needs it asks for it again and notes why. `seconds` takes what each kind took, the first with all the rest.
    """
    from music_reclass.extractors.audio.pcm import peaks

    start = time.perf_counter()
    file, stored = task
    digest: bytes | None = None
    duration: float | None = None
    tags = TrackTags()
    warnings: tuple[str, ...] = ()
    outline = b""
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
                    duration, warnings, outline = clip.duration, clip.warnings, peaks(clip.samples)
                if made.kind not in vectors:
                    began = time.perf_counter()
                    vectors.update(_finite(made, clip) if vectors else registry.vectors(made, clip.samples))
                    taken[made.kind] = time.perf_counter() - began
            warnings += _limits(clip, vectors)
        warnings += _unwritable(path)
        status = os.stat(path)
        if (status.st_size, mtime_ns(status)) != (file.size, file.mtime_ns):
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
    return Track(
        file.path, file.size, file.mtime_ns, digest, duration, tags, warnings, vector, error, more=vectors,
        peaks=outline,
    )  # fmt: skip


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


def timed_read(task: ReadTask, kinds: Sequence[FeatureKind]) -> tuple[Track, dict[FeatureKind, float]]:
    """What `read_file` gives, with the seconds that each kind took."""
    seconds: dict[FeatureKind, float] = {}
    return read_file(task, kinds, seconds), seconds


def path_of(item: ReadTask | TrackPath) -> str:
    """The file that an item of `Backend.map` is about."""
    return item[0].path if isinstance(item[0], Track) else str(item[1])


def read_track(item: TrackPath, reader: Callable[[Path], Result]) -> Result:
    """What `reader` makes of the file of a track."""
    return reader(Path(item[1]))


def require_kind(at_hand: FeatureKind, wanted: FeatureKind) -> None:
    """BundleError unless the kind that the extractor `at_hand` makes is the very one that is `wanted`."""
    if at_hand != wanted:
        raise BundleError(
            f"A stage was trained on vectors {wanted.key}, and what is installed makes {at_hand.key}; install the "
            "weights that the stage was trained with (reclass models), or leave the stage out with --stages."
        )
