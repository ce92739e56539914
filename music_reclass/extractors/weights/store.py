"""Where installed weights lie, what is known about them (manifest, pins, licences), and Hugging Face's cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import ReclassError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.extractors.weights.catalogue import RemoteFile

WEIGHTS = "model.safetensors"
GRAPH = "model.onnx"  # in the place of WEIGHTS, for a model that is run as it was published
MANIFEST = "manifest.json"


class MissingWeights(UsageError):
    """A model is needed that is not installed; the sentence says how to get it."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A model that is ready for use; its manifest holds all but the folder."""

    folder: Path
    model: str
    digest: str  # of the names, shapes and values of the tensors, whatever file they came in; of a graph, its sha256
    tensors: int  # 0 for a graph
    values: int  # numbers in all tensors together
    source: str  # sha256 of the file that the weights came in
    origin: str
    installed: str  # date, ISO 8601

    @property
    def weights(self) -> Path:
        """The safetensors file, or the graph."""
        graph = self.folder / GRAPH
        return graph if graph.is_file() else self.folder / WEIGHTS

    @property
    def short_digest(self) -> str:
        """The first eight digits of the digest; part of the version of the vectors."""
        return self.digest[:8]


def models_folder() -> Path:
    """`RECLASS_MODELS`, else `models` in the user's data folder."""
    if named := os.environ.get("RECLASS_MODELS"):
        return Path(os.path.expanduser(named))
    import platformdirs

    return Path(platformdirs.user_data_dir("reclass", appauthor=False)) / "models"


def find(name: str) -> Installed | None:
    """The installed model, None where there is none; ReclassError where its manifest cannot be read."""
    folder = models_folder() / name
    values = read_json(folder / MANIFEST)
    if values is None or not any((folder / file).is_file() for file in (WEIGHTS, GRAPH)):
        return None
    try:
        return Installed(folder=folder, **values)
    except TypeError as error:
        raise ReclassError(f"{folder / MANIFEST} is damaged; install the model {name} again.") from error


def needed(name: str) -> Installed:
    """The installed model; MissingWeights says how to get it."""
    found = find(name)
    if found is None:
        raise MissingWeights(
            f"the model {name} is not installed: reclass models download {name}, or, with the file at hand, "
            f"reclass models install {name} FILE."
        )
    return found


def record(installed: Installed) -> None:
    """Write the manifest: from now on the model counts as installed."""
    manifest = asdict(installed)
    del manifest["folder"]
    write_json(installed.folder / MANIFEST, manifest)


def pinned(model: str) -> str | None:
    """The digest of the tensors that were first installed here under this name; None before that."""
    digest = (read_json(models_folder() / "pins.json") or {}).get(model)
    return digest if isinstance(digest, str) else None


def pin(model: str, digest: str) -> None:
    """Expect these tensors from now on."""
    path = models_folder() / "pins.json"
    write_json(path, {**(read_json(path) or {}), model: digest})


def licence_shown(model: str) -> bool:
    """Whether the licence was accepted here before."""
    return model in (read_json(models_folder() / "licences.json") or {})


def remember_licence(model: str, day: str) -> None:
    """The licence was shown and accepted on `day`."""
    _note("licences.json", model, day)


def was_offered(model: str) -> bool:
    """Whether a scan has asked here before whether to fetch the model."""
    return model in (read_json(models_folder() / "offers.json") or {})


def remember_offer(model: str, day: str) -> None:
    """A scan asked on `day` whether to fetch the model."""
    _note("offers.json", model, day)


def _note(name: str, model: str, day: str) -> None:
    path = models_folder() / name
    write_json(path, {**(read_json(path) or {}), model: day})


def hub_cache() -> Path:
    """Where programs keep what they fetched from the Hugging Face hub: HF_HUB_CACHE, else `hub` in HF_HOME."""
    for variable, below in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),  # its former name
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ):
        if named := os.environ.get(variable):
            return Path(os.path.expandvars(os.path.expanduser(named))) / below
    return Path(os.path.expanduser("~/.cache/huggingface/hub"))


def in_hub_cache(file: RemoteFile) -> Iterator[Path]:
    """Copies of a file in that cache: of the catalogue's commit, else of `main`, else of the newest.

    The layout is huggingface_hub's: snapshots/COMMIT/file, a link into blobs/, where a large file is named by its
    sha256; copies whose name says that they are other weights than the published are left out. Nothing is written.
    """
    hub = file.hub
    if hub is None:
        return
    repository = hub_cache() / f"models--{hub.repository.replace('/', '--')}"
    try:
        newest = sorted((repository / "snapshots").iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        main = repository / "refs" / "main"
        followed = main.read_text().strip() if main.is_file() else ""
    except OSError:  # no cache, none of this model, or none that may be read
        return
    wanted = [folder for folder in newest if folder.name == hub.revision]
    wanted += [folder for folder in newest if folder.name == followed]
    for folder in dict.fromkeys(wanted + newest):
        path = folder / hub.path
        blob = path.resolve().name
        others = file.sha256 is not None and re.fullmatch("[0-9a-f]{64}", blob) and blob != file.sha256
        if path.is_file() and not others:
            yield path


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no such file, ReclassError where it holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ReclassError(f"{path} cannot be read ({error}); mend or delete it.") from error
    if not isinstance(value, dict):
        raise ReclassError(f"{path} holds no JSON object; mend or delete it.")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write the object whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """The sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def tensors_digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """The sha256 of names, types, shapes and values: equal for the same weights in any container."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        little = tensor.dtype.newbyteorder("<")
        digest.update(f"{name}\0{little.str}\0{tensor.shape}\0".encode())
        digest.update(np.ascontiguousarray(tensor, dtype=little).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
