"""Downloads, installs and verifies model weights."""

from __future__ import annotations

import datetime
import http.client
import importlib
import logging
import os
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass import __version__
from music_reclass.domain import Finding
from music_reclass.errors import NothingToDo, ReclassError, ServerError
from music_reclass.extractors.registry import extractor
from music_reclass.extractors.weights import store
from music_reclass.extractors.weights.catalogue import HUB, HubFile, Model, RemoteFile
from music_reclass.extractors.weights.checkpoint import is_safetensors, read_safetensors, read_torch, write_safetensors
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.domain import Extractor
    from music_reclass.extractors.device import Placement

    Tensors = dict[str, NDArray[Any]]

_BLOCK = 1 << 20
_TIMEOUT = 60.0
_ATTEMPTS = 4

Progress = Callable[[int], None]  # gets how many more bytes have come


def fetch(file: RemoteFile, folder: Path, progress: Progress, pause: Callable[[float], None] = time.sleep) -> Path:
    """The file in `folder`; what an earlier attempt left as `NAME.part` is continued, not fetched again.

    A file of the Hugging Face hub is fetched by huggingface_hub where that is installed. Raises
    ServerError, after four attempts where that may help; what has come by then stays for the next time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file.name
    if target.is_file():
        progress(target.stat().st_size)
        return target
    part, address = folder / f"{file.name}.part", _mirrored(file.url)
    _check_room(folder, file.size - _size(part))
    other_way = "reclass models install takes a file that came another way."
    if file.hub is not None:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise ServerError(f"HF_HUB_OFFLINE is set, so {address} is not fetched; {other_way}")
        if not _size(part) and _answers(address) and _by_hub_library(file.hub, folder / "hub", target, progress):
            return target
    problem: Exception | None = None
    progress(_size(part))
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause(2.0**attempt)
        try:
            _continue(address, part, progress)
            os.replace(part, target)
            return target
        except urllib.error.HTTPError as error:
            problem = error
            if error.code in (404, 410):
                raise ServerError(f"{address} does not exist any more.") from error
            if error.code in (401, 403):
                raise ServerError(f"{address} needs permission ({error.code}): set HF_TOKEN to your token.") from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            problem = error
            if isinstance(getattr(error, "reason", None), socket.gaierror):
                break  # no network at all: waiting a few seconds does not help
    raise ServerError(
        f"{address} could not be fetched ({_words(problem)}); the same command continues later, and {other_way}"
    ) from problem


def _mirrored(address: str) -> str:
    """The address on the mirror that HF_ENDPOINT names; unchanged where there is none, or no file of the hub."""
    mirror = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return mirror + address.removeprefix(HUB) if mirror and address.startswith(f"{HUB}/") else address


def _answers(address: str) -> bool:
    """Whether anybody takes a connection there: huggingface_hub would try for half a minute. True behind a proxy."""
    where = urllib.parse.urlsplit(address)
    if where.scheme in urllib.request.getproxies():
        return True
    try:
        socket.create_connection(
            (where.hostname or "", where.port or (80 if where.scheme == "http" else 443)), 10
        ).close()
    except OSError:
        return False
    return True


def _by_hub_library(file: HubFile, folder: Path, target: Path, progress: Progress) -> bool:
    """Fetch by huggingface_hub, which resumes, finds the user's token and knows the hub's own protocol.

    False where it is not installed or fails: then the plain download tries, and says what is wrong.
    """
    try:
        library = importlib.import_module("huggingface_hub")
        bar, counted = _counting_bar(progress)
        keywords = {"tqdm_class": bar} if "tqdm_class" in signature(library.hf_hub_download).parameters else {}
    except (ImportError, AttributeError):
        return False
    try:
        made = library.hf_hub_download(
            file.repository, file.path, revision=file.revision, local_dir=folder,
            token=os.environ.get("HF_TOKEN") or None, endpoint=os.environ.get("HF_ENDPOINT") or None, **keywords,
        )  # fmt: skip
    except Exception as error:  # its own errors, and those of whichever HTTP library its release uses
        logging.getLogger(__name__).info("huggingface_hub could not fetch %s: %s", file.path, error)
        progress(-counted[0])
        return False
    os.replace(made, target)
    progress(_size(target) - counted[0])
    return True


def _counting_bar(progress: Progress) -> tuple[type, list[int]]:
    """A progress bar for huggingface_hub that shows nothing and reports to `progress`; and what it has reported."""
    counted = [0]

    def count(more: float | None = 1) -> None:
        counted[0] += int(more or 0)
        progress(int(more or 0))

    class Bar(importlib.import_module("tqdm").tqdm):  # type: ignore[misc]  # one that tqdm's users may ask anything
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            count(keywords.get("initial"))
            super().__init__(*arguments, **{**keywords, "disable": True})

        update = staticmethod(count)

    return Bar, counted


def _continue(url: str, part: Path, progress: Progress) -> None:
    """Append to `part` what is missing, or begin anew where the server's file has changed or it cannot resume."""
    mark = part.with_name(f"{part.name}.etag")
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": f"reclass/{__version__}"})
    if (token := os.environ.get("HF_TOKEN")) and url.startswith(_mirrored(f"{HUB}/")):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    known = mark.read_text() if have and mark.is_file() else ""
    if known:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", known)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            resumed = answer.status == 206 and _first_byte(answer.headers) == have
            if not resumed and have:
                progress(-have)
            if etag := answer.headers.get("ETag", ""):
                mark.write_text(etag)
            _copy(answer, part, resumed, progress)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing lies behind what is there: it is whole
            raise
    mark.unlink(missing_ok=True)


def _copy(answer: Any, part: Path, resumed: bool, progress: Progress) -> None:
    announced = answer.headers.get("Content-Length")
    came = 0
    with part.open("ab" if resumed else "wb") as out:
        while block := answer.read(_BLOCK):
            out.write(block)
            came += len(block)
            progress(len(block))
        out.flush()
        os.fsync(out.fileno())
    if announced is not None and came < int(announced):
        raise ConnectionError("the connection broke off")


def _first_byte(headers: Any) -> int:
    """Where a partial answer begins: `bytes 100-199/200` begins at 100; -1 where that is not said."""
    span = str(headers.get("Content-Range", "")).removeprefix("bytes ").split("-")[0]
    return int(span) if span.isdigit() else -1


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_room(folder: Path, missing: int) -> None:
    """ReclassError unless the disk holds the download and its converted copy."""
    free, wanted = shutil.disk_usage(folder).free, 2 * missing
    if free < wanted:
        raise ReclassError(f"{folder} has {free / 1e9:.1f} GB free, and {wanted / 1e9:.1f} GB are needed for a while.")


def _words(problem: Exception | None) -> str:
    reason = getattr(problem, "reason", None)
    return str(reason or problem or type(problem).__name__)


def from_internet(model: Model, progress: Progress, trust: bool = False) -> store.Installed:
    """Download the files of a model and install it. Raises ServerError, or ReclassError for other weights.

    MissingExtra before the download, where a graph could not be checked after it.
    """
    if model.is_graph:
        require("onnxruntime", "onnx")
    folder = store.models_folder() / ".downloads" / model.name
    paths = [fetch(file, folder, progress) for file in model.files]
    try:
        for file, path in zip(model.files[1:], paths[1:], strict=True):
            if file.sha256 not in (None, store.file_digest(path)) and not trust:
                raise ReclassError(f"This is not the published {file.name} of {model.name}; fetch it again.")
        return _install(model, paths[0], model.files[0].url, trust)
    finally:
        shutil.rmtree(folder)  # installed, or not worth keeping: a wrong file would stand in the way of the right one


def from_hub_cache(model: Model, trust: bool = False) -> store.Installed | None:
    """Install from Hugging Face's cache, where the weights may lie already; None where it has no copy of them."""
    file = model.files[0]
    for path in store.in_hub_cache(file):
        if trust or file.sha256 in (None, store.file_digest(path)):
            return _install(model, path, str(path), trust)
    return None


def from_disk(model: Model, path: Path, trust: bool = False) -> store.Installed:
    """Install from the weights file, or from the folder that holds it; its JSON files are taken from beside it."""
    if path.is_dir():
        path = _weights_in(path, model)
    elif not path.is_file():
        raise NothingToDo(f"{path} does not exist; name the weights file of {model.name} or the folder it is in.")
    return _install(model, path, str(path.resolve()), trust)


def _weights_in(folder: Path, model: Model) -> Path:
    names = (store.GRAPH if model.is_graph else store.WEIGHTS, model.files[0].name)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise NothingToDo(f"{folder} holds neither {' nor '.join(names)}.")


def _install(model: Model, weights: Path, origin: str, trust: bool) -> store.Installed:
    source = store.file_digest(weights)
    folder = store.models_folder() / model.name
    if model.is_graph:
        _check_digests(model, source, source, trust)
        graph_in(model, weights)
        installed = store.Installed(folder, model.name, source, 0, 0, source, origin, _today())
        return _recorded(installed, lambda: _copy_whole(weights, folder))
    besides = [weights.parent / file.name for file in model.files[1:]]
    tensors, settings = canonical(
        model, read_checkpoint(weights), {path.name: store.read_json(path) or {} for path in besides if path.is_file()}
    )
    digest = store.tensors_digest(tensors)
    _check_digests(model, source, digest, trust)
    values = sum(tensor.size for tensor in tensors.values())

    def put() -> None:
        write_safetensors(folder / store.WEIGHTS, tensors)
        for name, values_of in settings.items():
            store.write_json(folder / name, values_of)

    installed = store.Installed(folder, model.name, digest, len(tensors), values, source, origin, _today())
    return _recorded(installed, put)


def _today() -> str:
    return datetime.date.today().isoformat()


def _recorded(installed: store.Installed, put: Callable[[], None]) -> store.Installed:
    """The same, once `put` has written its files."""
    installed.folder.mkdir(parents=True, exist_ok=True)
    (installed.folder / store.MANIFEST).unlink(missing_ok=True)  # until it is written again, nothing is installed
    put()
    store.record(installed)
    store.pin(installed.model, installed.digest)
    return installed


def _copy_whole(weights: Path, folder: Path) -> None:
    if weights.resolve() == (folder / store.GRAPH).resolve():
        return
    draft = folder / f".{store.GRAPH}"
    shutil.copyfile(weights, draft)
    os.replace(draft, folder / store.GRAPH)


def graph_in(model: Model, weights: Path) -> str:
    """What the graph in a file takes and gives, in words; ReclassError if it is of another model, MissingExtra."""
    module, function = model.converter.split(":")
    return str(getattr(importlib.import_module(module), function)(weights))


def _check_digests(model: Model, source: str, digest: str, trust: bool) -> None:
    """ReclassError unless these are the published weights, or, where no digest was published, the pinned ones."""
    published, pinned = model.files[0].sha256, store.pinned(model.name)
    if source == published or digest == pinned or trust:
        return
    if published is not None:
        raise ReclassError(
            f"This is not the published {model.files[0].name} of {model.name}: its sha256 is {source[:16]}..., not "
            f"{published[:16]}...; fetch it again, or say --trust if you know better."
        )
    if pinned is not None:
        raise ReclassError(
            f"These are other weights than the {model.name} first installed here ({digest[:16]}..., not "
            f"{pinned[:16]}...); if that is meant, say --trust."
        )


def canonical(
    model: Model, tensors: Tensors, settings: Mapping[str, dict[str, Any]]
) -> tuple[Tensors, Mapping[str, dict[str, Any]]]:
    """Tensors and settings in the one form that the loader takes; ReclassError if they are of another model."""
    module, function = model.converter.split(":")
    made: tuple[Tensors, Mapping[str, dict[str, Any]]]
    made = getattr(importlib.import_module(module), function)(tensors, settings)
    if len(made[0]) != model.tensors:
        raise ReclassError(f"This is no whole {model.name}: it has {len(made[0])} tensors, not {model.tensors}.")
    return made


def read_checkpoint(path: Path) -> Tensors:
    """The tensors of a safetensors file or of one that torch.save wrote; ReclassError for anything else."""
    if is_safetensors(path):
        return dict(read_safetensors(path))
    tree = read_torch(path)
    if isinstance(tree, dict) and isinstance(tree.get("state_dict"), dict):
        tree = tree["state_dict"]
    if not isinstance(tree, dict) or not tree or not all(isinstance(value, np.ndarray) for value in tree.values()):
        raise ReclassError(f"{path.name} holds more or other things than weights.")
    return tree


SECONDS = 6
TOO_ALIKE = 0.9999  # cosine


def self_check(model: Model, placement: Placement) -> Iterator[Finding]:
    """The findings in turn, networks computing at `placement`.

    MissingWeights if the model is not installed, ReclassError if it cannot be loaded.
    """
    installed = store.needed(model.name)
    if model.is_graph:
        digest = store.file_digest(installed.weights)
        second = Finding("graph", True, graph_in(model, installed.weights))
    else:
        tensors = read_safetensors(installed.weights)
        digest, values = store.tensors_digest(tensors), sum(tensor.size for tensor in tensors.values())
        second = Finding(
            "tensors",
            (len(tensors), values) == (model.tensors, model.values),
            f"{len(tensors)} tensors, {values:,} values (expected {model.tensors} and {model.values:,})",
        )
    yield Finding("digest", digest == installed.digest, f"{digest[:16]}... since {installed.installed}")
    yield second
    for kind in model.kinds:
        yield from _check_vectors(extractor(kind, "mid30", placement))


def _check_vectors(made: Extractor) -> Iterator[Finding]:
    kind = made.kind.name
    chord, again, drums = (made.vector(sound(made.rate)) for sound in (_chord, _chord, _drums))
    fine = chord.shape == (made.kind.dimension,) and chord.dtype == np.float32 and bool(np.isfinite(chord).all())
    yield Finding(f"{kind} shape", fine, f"{chord.shape[0]} finite numbers ({made.kind.key})")
    same = float(np.abs(chord - again).max())
    yield Finding(f"{kind} repeats", same == 0.0, f"the same sound twice differs by {same:.1g}")
    alike = float(chord @ drums / max(np.linalg.norm(chord) * np.linalg.norm(drums), 1e-12))
    # "hears": the word in --json
    yield Finding(f"{kind} hears", alike < TOO_ALIKE, f"a chord and drums have cosine {alike:.4f}")


def _chord(rate: int) -> NDArray[np.float32]:
    time = np.arange(SECONDS * rate) / rate
    notes = (0.2 / n * np.sin(2 * np.pi * pitch * n * time) for pitch in (220.0, 277.2, 329.6) for n in (1, 2, 3))
    return np.asarray(sum(notes), dtype=np.float32)


def _drums(rate: int) -> NDArray[np.float32]:
    time = np.arange(SECONDS * rate) / rate
    noise = np.random.default_rng(7).uniform(-0.6, 0.6, len(time))
    return np.asarray(noise * np.exp(-12 * (time % 0.5)), dtype=np.float32)
