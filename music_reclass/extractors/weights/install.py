"""From a downloaded or copied checkpoint to an installed model: digest and tensors checked, kept as safetensors."""

from __future__ import annotations

import datetime
import importlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import NothingToDo, ReclassError
from music_reclass.extractors.weights import download, safetensors, store, torch_file
from music_reclass.extractors.weights.catalogue import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]


def from_internet(model: Model, progress: download.Progress, trust: bool = False) -> store.Installed:
    """Download the files of a model and install it. Raises ServerError, or ReclassError for other weights."""
    folder = store.models_folder() / ".downloads" / model.name
    paths = [download.fetch(file, folder, progress) for file in model.files]
    try:
        return _install(model, paths[0], model.files[0].url, trust)
    finally:
        shutil.rmtree(folder)  # installed, or not worth keeping: a wrong file would stand in the way of the right one


def from_disk(model: Model, path: Path, trust: bool = False) -> store.Installed:
    """Install from the weights file, or from the folder that holds it; its JSON files are taken from beside it."""
    if path.is_dir():
        path = _weights_in(path, model)
    elif not path.is_file():
        raise NothingToDo(f"{path} does not exist; name the weights file of {model.name} or the folder it is in.")
    return _install(model, path, str(path.resolve()), trust)


def _weights_in(folder: Path, model: Model) -> Path:
    names = (store.WEIGHTS, model.files[0].name)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise NothingToDo(f"{folder} holds neither {' nor '.join(names)}.")


def _install(model: Model, weights: Path, origin: str, trust: bool) -> store.Installed:
    source = store.file_digest(weights)
    besides = [weights.parent / file.name for file in model.files[1:]]
    tensors, settings = canonical(
        model, read_checkpoint(weights), {path.name: store.read_json(path) or {} for path in besides if path.is_file()}
    )
    digest = store.tensors_digest(tensors)
    _check_digests(model, source, digest, trust)
    values = sum(tensor.size for tensor in tensors.values())
    day = datetime.date.today().isoformat()
    manifest = store.Manifest(model.name, digest, len(tensors), values, source, origin, day)
    folder = store.models_folder() / model.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / store.MANIFEST).unlink(missing_ok=True)  # from here until it is written again, nothing is installed
    safetensors.write(folder / store.WEIGHTS, tensors)
    for name, values_of in settings.items():
        store.write_json(folder / name, values_of)
    store.record(folder, manifest)
    store.pin(model.name, digest)
    return store.Installed(folder, manifest)


def _check_digests(model: Model, source: str, digest: str, trust: bool) -> None:
    """ReclassError unless these are the published weights, or, where no digest was published, the pinned ones."""
    published, pinned = model.files[0].sha256, store.pinned(model.name)
    if source == published or digest == pinned or trust:
        return
    if published is not None:
        raise ReclassError(
            f"this is not the published {model.files[0].name} of {model.name}: its sha256 is {source[:16]}..., not "
            f"{published[:16]}...; fetch it again, or say --trust if you know better."
        )
    if pinned is not None:
        raise ReclassError(
            f"these are other weights than the {model.name} first installed here ({digest[:16]}..., not "
            f"{pinned[:16]}...); if that is meant, say --trust."
        )


def canonical(
    model: Model, tensors: Tensors, settings: Mapping[str, dict[str, Any]]
) -> tuple[Tensors, Mapping[str, dict[str, Any]]]:
    """Tensors and settings in the one form that the loader takes; ReclassError if they are of another model."""
    module, function = model.door.split(":")
    made: tuple[Tensors, Mapping[str, dict[str, Any]]]
    made = getattr(importlib.import_module(module), function)(tensors, settings)
    if len(made[0]) != model.tensors:
        raise ReclassError(f"this is no whole {model.name}: it has {len(made[0])} tensors, not {model.tensors}.")
    return made


def read_checkpoint(path: Path) -> Tensors:
    """The tensors of a safetensors file or of one that torch.save wrote; ReclassError for anything else."""
    if safetensors.looks_like(path):
        return safetensors.read(path)
    tree = torch_file.read(path)
    if isinstance(tree, dict) and isinstance(tree.get("state_dict"), dict):
        tree = tree["state_dict"]
    if not isinstance(tree, dict) or not tree or not all(isinstance(value, np.ndarray) for value in tree.values()):
        raise ReclassError(f"{path.name} holds more or other things than weights.")
    return tree
