"""What runs on a node: actors that read files and run networks there, and what a node says about itself."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from music_reclass import __version__
from music_reclass.classification.reading import path_of, prepare_worker, read_track
from music_reclass.cluster.dispatch import UNSEEN
from music_reclass.config import usable_cores
from music_reclass.containers.sniff import payload_digest
from music_reclass.domain import FeatureKind, Track
from music_reclass.errors import FailTrack, ReclassError, TrackError
from music_reclass.extractors import registry
from music_reclass.extractors.memory import WORKER_BYTES, available_bytes
from music_reclass.extractors.weights import store
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from music_reclass.cluster.dispatch import Parcel
    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.network import NetworkExtractor

COPIES = "reclass-copies-"
DECODED = 3  # times that a file is decoded to measure how fast


class Sample(NamedTuple):
    """A file by which a node's view of the music is compared."""

    path: str
    size: int
    digest: bytes


class Limits(NamedTuple):
    """What the workers of a node may take: processes, seconds a file, bytes of memory a process (0: no limit)."""

    jobs: int
    timeout: float
    memory: int


class Batch(NamedTuple):
    """What an actor made of a batch: an answer for each parcel, and the seconds it took.

    Of a network also where it computes, and how many windows in pieces since it was opened.
    """

    answers: list[Any]
    seconds: float
    place: str = ""
    in_pieces: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a machine is and has, as far as it matters to the others."""

    reclass: str
    python: str  # in full: implementation, version and patch
    ray: str
    architecture: str
    memory: int  # bytes that are free
    kinds: dict[str, str]  # keys of the wanted feature kinds: what is made here, or a sentence why nothing
    weights: dict[str, str]  # models: digests of their weights, "" where none are installed
    decode: float = 0.0  # times faster than it plays, one process; 0: not measured


def facts(kinds: Iterable[FeatureKind], ray: str, sample: str | None = None) -> Facts:
    """The facts of this machine; decoding is measured where a `sample` is given."""
    wanted = list(kinds)
    models = {model for kind in wanted if (model := registry.model_of(kind.name))}
    return Facts(
        reclass=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        ray=ray,
        architecture=platform.machine(),
        memory=available_bytes(),
        kinds={kind.key: _made_here(kind) for kind in wanted},
        weights={model: _digest(model) for model in sorted(models)},
        decode=decode_speed(sample) if sample else 0.0,
    )


def _made_here(kind: FeatureKind) -> str:
    try:
        return registry.extractor(kind.name, kind.excerpt).kind.key
    except ReclassError as error:
        return str(error)


def _digest(model: str) -> str:
    try:
        installed = store.find(model)
    except ReclassError:  # a damaged manifest
        return "damaged"
    return installed.digest if installed else ""


def decode_speed(path: str) -> float:
    """How many times faster than it plays the middle of a file is decoded by one process; 0 where it cannot be."""
    from music_reclass.extractors.audio import load as audio

    try:
        clip = audio.load(Path(path), "mid30", 22050)  # once to warm up
        start = time.perf_counter()
        for _ in range(DECODED):
            audio.load(Path(path), "mid30", 22050)
    except TrackError:
        return 0.0
    return float(DECODED * len(clip.samples) / clip.rate / max(1e-9, time.perf_counter() - start))


def sample_of(path: str) -> Sample | None:
    """A file as this machine sees it; None where it cannot be read."""
    try:
        return Sample(path, os.stat(path).st_size, payload_digest(Path(path)))
    except (OSError, TrackError):
        return None


class _Actor:
    """What both actors share: a pool of worker processes that stays from batch to batch, and files sent as bytes."""

    def __init__(self, limits: Limits) -> None:
        # Spawned processes import the main module again, which here is Ray's: half a second and 60 MB for nothing.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._limits = limits
        self._pool: WorkerPool[Any, Any] | None = None
        self._read: tuple[Any, ...] | None = None
        self._folder: str | None = None  # of files that came as bytes

    def _mapped(
        self, read: Callable[[Any], Any], identity: Any, parcels: Sequence[Parcel]
    ) -> Iterator[tuple[int, Any]]:
        """The number of each parcel with what `read` makes of it, by worker processes."""
        if self._pool is None or self._read != identity:
            self.close()
            jobs = max(1, min(self._limits.jobs, available_bytes() // WORKER_BYTES))
            self._pool = WorkerPool(read, jobs, self._limits.timeout, prepare_worker, memory=self._limits.memory)
            self._read = identity
        numbers: dict[int, int] = {}
        failed: list[tuple[int, TrackError]] = []

        def here() -> Iterator[Any]:
            for number, parcel in enumerate(parcels):
                try:
                    item = self._arrived(number, parcel)
                except TrackError as error:
                    failed.append((number, error))
                    continue
                numbers[id(item)] = number
                yield item

        for item, answer in self._pool.map(here()):
            number = numbers[id(item)]
            self._forget(number, parcels[number])
            yield number, answer
        yield from failed

    def _arrived(self, number: int, parcel: Parcel) -> Any:
        """The item with the path that its file has here. FailTrack `unseen` where there is no such file."""
        if parcel.content is None:
            path = parcel.path or ""
        else:
            path = self._temporary(number, parcel)
            try:
                with open(path, "wb") as file:
                    file.write(_fetched(parcel.content))
            except OSError as error:
                self._forget(number, parcel)
                raise FailTrack("no_space", f"a copy of the file on the node failed: {error.strerror}") from error
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                file.read(1)
        except OSError as error:
            raise FailTrack(UNSEEN, f"the node has no such file: {error.strerror or error}") from error
        first, second = parcel.item
        if not isinstance(first, Track):
            return first, path
        if status.st_size != first.size:
            raise FailTrack(UNSEEN, "the node sees another file")
        return replace(first, path=path, size=status.st_size, mtime_ns=status.st_mtime_ns), second

    def _temporary(self, number: int, parcel: Parcel) -> str:
        if self._folder is None:
            _clear_up()
            self._folder = tempfile.mkdtemp(prefix=f"{COPIES}{os.getpid()}-")
        return os.path.join(self._folder, f"{number}{Path(path_of(parcel.item)).suffix}")

    def _forget(self, number: int, parcel: Parcel) -> None:
        if parcel.content is not None:
            with suppress(OSError):
                os.unlink(self._temporary(number, parcel))

    def close(self) -> None:
        """End the worker processes, and remove what was copied for them."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


class Fma518(_Actor):
    """Reads files on a node: digest, tags and the kinds that need no torch, the 518 features first among them."""

    def facts(self, kinds: Sequence[FeatureKind], sample: str | None = None) -> Facts:
        """What the node is and has."""
        import ray

        return facts(kinds, ray.__version__, sample)

    def samples(self, paths: Sequence[str]) -> list[Sample | None]:
        """Files as the node sees them."""
        return [sample_of(path) for path in paths]

    def receive(self, model: str, name: str, offset: int, data: bytes) -> None:
        """A piece of a file of a model, in order; the files count as soon as `finish` has checked them."""
        received = _received(model, name)
        received.parent.mkdir(parents=True, exist_ok=True)
        with received.open("ab" if offset else "wb") as file:
            file.write(data)

    def finish(self, names: Sequence[str], manifest: dict[str, Any]) -> str:
        """Install the model whose files were received; why that cannot be, "" where it is done."""
        from music_reclass.extractors.weights.checkpoint import read_safetensors

        model = manifest["model"]
        folder = store.models_folder() / model
        try:
            graph = store.GRAPH in names
            weights = _received(model, store.GRAPH if graph else store.WEIGHTS)
            digest = store.file_digest(weights) if graph else store.tensors_digest(read_safetensors(weights))
            if digest != manifest["digest"]:
                return f"the weights of {model} did not arrive as they were sent"
            for name in names:
                os.replace(_received(model, name), folder / name)
            store.record(store.Installed(folder=folder, **manifest))
            store.pin(model, digest)
        except (ReclassError, OSError) as error:
            return str(error)
        finally:
            for name in names:
                _received(model, name).unlink(missing_ok=True)
        return ""

    def read(self, read: Callable[[Any], Any], parcels: Sequence[Parcel]) -> Batch:
        """What `read` makes of the files."""
        start = time.perf_counter()
        answers: list[Any] = [None] * len(parcels)
        for number, answer in self._mapped(read, _identity(read), parcels):
            answers[number] = _as_at_home(answer, parcels[number].item)
        return Batch(answers, time.perf_counter() - start)


class NetworkActor(_Actor):
    """Runs networks on one card, or on the processor, of a node; worker processes decode for it."""

    def __init__(self, limits: Limits, placement: Placement, threads: int) -> None:
        super().__init__(limits)
        self._placement = placement
        self._opened: dict[FeatureKind, NetworkExtractor] = {}
        # Ray has set one thread, as for an actor that asked for no processor; torch is not loaded yet.
        os.environ["OMP_NUM_THREADS"] = str(max(1, min(threads, usable_cores()) - 1))

    def embed(self, kind: FeatureKind, parcels: Sequence[Parcel]) -> Batch | ReclassError:
        """The vectors of the files; ReclassError where the network or its device does not do."""
        from music_reclass.extractors.pipeline import assembled, network_extractor, read_windows

        start = time.perf_counter()
        answers: list[Any] = [None] * len(parcels)
        try:
            if kind not in self._opened:
                self._opened.clear()
                self._opened[kind] = network_extractor(kind.name, kind.excerpt, self._placement)
            network = self._opened[kind]
            if network.kind != kind:
                return ReclassError(f"This node makes vectors {network.kind.key}, not {kind.key}.")
            read = partial(read_track, reader=partial(read_windows, kind=kind.name, excerpt=kind.excerpt))
            for number, answer in assembled(self._mapped(read, kind, parcels), network):
                answers[number] = answer
        except ReclassError as error:
            return ReclassError(str(error))
        device = network.network.device
        place = "the processor" if device.is_cpu else device.name
        return Batch(answers, time.perf_counter() - start, place, network.network.chunked)


def _clear_up() -> None:
    """Remove the copies of actors that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{COPIES}*-*"):
        number = folder.name.removeprefix(COPIES).partition("-")[0]
        if number.isdigit() and not _lives(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _identity(read: Callable[[Any], Any]) -> Any:
    """What two equal functions have in common after their way between processes."""
    import pickle

    return pickle.dumps(read)


def _fetched(content: Any) -> bytes:
    import ray

    data: bytes = ray.get(content)
    return data


def _received(model: str, name: str) -> Path:
    """Where a file of a model lies until it is whole."""
    return store.models_folder() / os.path.basename(model) / f"{os.path.basename(name)}.received"


def _as_at_home(answer: Any, item: Any) -> Any:
    """The answer with the path, size and time that the file has for the machine that asked."""
    file = item[0]
    if not isinstance(file, Track) or not isinstance(answer, tuple):
        return answer
    read, *others = answer
    return replace(read, path=file.path, size=file.size, mtime_ns=file.mtime_ns), *others
