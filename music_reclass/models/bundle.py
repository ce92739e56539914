"""Bundles: trained models on disk as a JSON manifest and an npz of arrays; loading one executes no code."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.errors import BundleError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.extractors.registry import comparable
from music_reclass.models.base import Floats, Model, restored
from music_reclass.models.calibration import Calibration

FORMAT = 1
MANIFEST, ARRAYS = "manifest.json", "arrays.npz"
_DATA = Path(__file__).resolve().parent.parent / "data"
CONTENT_FOLDERS = {"content": "content", "content-tags": "content-tags"}  # stages that tell music from other sounds
# stage -> folder, cheapest first; one of the later two follows the first, EfficientAT where it is installed
EMBEDDED = {"fma518": "embedded", "efficientat": "embedded-efficientat", "musicnn": "embedded-musicnn"}
CASCADE_FORMAT, CASCADE = 1, "ladder.json"  # the list of a cascade's stages; it keeps its old name
_MOST = 8  # stages of a cascade
_LARGEST = 256 * 2**20  # bytes of arrays that are read at all: a bundle is small


@dataclass(frozen=True, slots=True)
class Bundle:
    """A classifier with its calibration, thresholds and origin. `digest` is over the manifest and all arrays."""

    name: str
    version: str
    stage: str
    kinds: tuple[FeatureKind, ...]
    labels: tuple[str, ...]
    thresholds: Mapping[str, float]
    digest: str
    manifest: Mapping[str, Any]
    model: Model
    calibration: Calibration

    @property
    def dimension(self) -> int:
        """Numbers in a row: all kinds side by side."""
        return sum(kind.dimension for kind in self.kinds)

    def medians(self) -> Floats | None:
        """The median training row, shape (dimension,): as stored, else by the model's scales; None where these lack.

        A column that the model does not look at is zero.
        """
        if (stored := self.manifest.get("medians")) is not None:
            return np.array(stored, dtype=np.float32)
        rows = self.model.medians(self.dimension)
        if rows is None or np.isnan(rows).all():
            return None
        return np.asarray(np.nan_to_num(np.where(np.isnan(rows[0]), rows[1], rows[0])), dtype=np.float32)

    def predict_proba(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (n, labels), of raw `rows`, shape (n, dimension); rows sum to one.

        BundleError for rows of another length, or that hold NaN or infinity.
        """
        rows = np.asarray(rows, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.dimension:
            raise BundleError(
                f"The bundle {self.name} {self.version} wants rows of {self.dimension} numbers "
                f"({' + '.join(kind.key for kind in self.kinds)}) and was given the shape {rows.shape}; extract the "
                "features again."
            )
        if not np.isfinite(rows).all():
            bad = int((~np.isfinite(rows).all(axis=1)).argmax())
            raise BundleError(f"Row {bad} holds NaN or infinity; extract the features again or leave the row out.")
        return self.calibration(self.model.log_probabilities(rows))


def make(manifest: Mapping[str, Any], model: Model) -> Bundle:
    """The bundle of a trained `model`. The manifest gives name, version, stage, kinds, labels, thresholds and
    calibration, and says where the model comes from; format, description and digest are added."""
    full = {**manifest, "format": FORMAT, "model": model.description(), "columns_digest": columns_digest()}
    full = json.loads(json.dumps(full))
    full["digest"] = _digest(full, model.arrays())
    return _parsed(full, model.arrays())


def save(bundle: Bundle, folder: Path) -> None:
    """Write `bundle` into `folder`, which is made; BundleError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        arrays, manifest = folder / f".{ARRAYS}", folder / f".{MANIFEST}"
        with arrays.open("wb") as file:
            stored: dict[str, Any] = bundle.model.arrays()
            np.savez_compressed(file, **stored)  # no options: NumPy 1 would store one as a further array
        manifest.write_text(json.dumps(bundle.manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(arrays, folder / ARRAYS)
        os.replace(manifest, folder / MANIFEST)
    except OSError as error:
        raise BundleError(
            f"The bundle cannot be written to {folder} ({error.strerror}); name another --out."
        ) from error


def load(folder: Path) -> Bundle:
    """The bundle in `folder`; BundleError if it is absent, damaged, or of a format or features unknown here."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if (folder / ARRAYS).stat().st_size > _LARGEST:
            raise BundleError(f"The arrays of {folder} are larger than any bundle; install or train it again.")
        with np.load(folder / ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise BundleError(f"There is no bundle in {folder} ({MANIFEST} and {ARRAYS}); install or train one.") from error
    except (OSError, ValueError, EOFError, RecursionError, zipfile.BadZipFile, zlib.error, TokenError) as error:
        raise BundleError(f"The bundle in {folder} cannot be read ({error}); install or train it again.") from error
    try:
        return _parsed(manifest, arrays)
    except BundleError as error:
        raise BundleError(f"{folder}: {error}") from error


@cache
def embedded(stage: str = "fma518") -> Bundle:
    """The bundle of a stage (a key of EMBEDDED or CONTENT_FOLDERS) that is shipped inside the package.

    MusiCNN's weights, which the second stage needs for its vectors, are not: they are installed.
    """
    return load(_DATA / (EMBEDDED | CONTENT_FOLDERS)[stage])


def without_alternative(bundles: Iterable[Bundle]) -> list[Bundle]:
    """`bundles` without the embedded MusiCNN stage where the embedded EfficientAT stage is among them, beside which it
    adds nothing (docs/explanation/model-card.md)."""
    found = list(bundles)
    if all(bundle.digest != embedded("efficientat").digest for bundle in found):
        return found
    return [bundle for bundle in found if bundle.digest != embedded("musicnn").digest]


def columns_digest() -> str:
    """SHA-256 over the names of the fma518 columns in order, as hex."""
    return hashlib.sha256("\n".join(COLUMNS).encode()).hexdigest()


def _digest(manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    without = {key: value for key, value in manifest.items() if key != "digest"}
    sha = hashlib.sha256(json.dumps(without, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"\n{name} {array.dtype.name} {array.shape}\n".encode())
        sha.update(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
    return sha.hexdigest()


def _parsed(manifest: Any, arrays: Mapping[str, NDArray[Any]]) -> Bundle:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"The manifest is not of format {FORMAT}; upgrade reclass or train the bundle again.")
    if manifest.get("digest") != _digest(manifest, arrays):
        raise BundleError("The bundle was changed after it was made (its digest differs); install or train it again.")
    try:
        kinds = tuple(comparable(FeatureKind(**kind)) for kind in manifest["kinds"])
        dimension, labels = sum(kind.dimension for kind in kinds), tuple(manifest["labels"])
        thresholds = {str(name): float(value) for name, value in manifest["thresholds"].items()}
        if not isinstance(manifest["labels"], list) or not all(isinstance(label, str) for label in labels):
            raise TypeError("labels are a list of names")
        if not kinds or not labels or len(set(labels)) != len(labels):
            raise ValueError("kinds and labels must be named, each label once")
        if not all(0.0 < value <= 1.0 for value in thresholds.values()):
            raise ValueError("thresholds lie in (0, 1]")
        medians = np.array(manifest.get("medians", [0.0] * dimension), dtype=np.float32)
        if medians.shape != (dimension,) or not np.isfinite(medians).all():
            raise ValueError("there is one median a column")
        if any(kind.name == "fma518" for kind in kinds) and manifest["columns_digest"] != columns_digest():
            raise BundleError("The bundle was trained on other columns than fma518 has here; train it again.")
        return Bundle(
            name=str(manifest["name"]),
            version=str(manifest["version"]),
            stage=str(manifest["stage"]),
            kinds=kinds,
            labels=labels,
            thresholds=thresholds,
            digest=str(manifest["digest"]),
            manifest=manifest,
            model=restored(manifest["model"], arrays, dimension, len(labels)),
            calibration=Calibration.from_manifest(manifest["calibration"]),
        )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BundleError(f"The manifest or an array of the bundle is wrong ({error!s}); train it again.") from error


def artist_digests(artists: Iterable[str]) -> list[str]:
    """A short digest of each artist's name: enough to notice one again, not to tell who it is."""
    return [hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8] for name in artists]


def save_cascade(stages: Sequence[Bundle], folder: Path) -> None:
    """Write the bundles of a cascade, cheapest first, each into its own folder below `folder`; BundleError."""
    if not stages or len({bundle.stage for bundle in stages}) != len(stages):
        raise BundleError("A cascade holds at least one stage, and each of them once.")
    names = [bundle.stage for bundle in stages]
    for name, bundle in zip(names, stages, strict=True):
        save(bundle, folder / name)
    try:
        draft = folder / f".{CASCADE}"
        draft.write_text(json.dumps({"format": CASCADE_FORMAT, "stages": names}, indent=1) + "\n", encoding="utf-8")
        os.replace(draft, folder / CASCADE)
    except OSError as error:
        raise BundleError(
            f"The cascade cannot be written to {folder} ({error.strerror}); name another --out."
        ) from error


def load_cascade(folder: Path) -> tuple[Bundle, ...]:
    """The bundles in `folder`, cheapest first: those of its list, or the one that it is; BundleError."""
    if not (folder / CASCADE).is_file():
        return (load(folder),)
    try:
        listed = json.loads((folder / CASCADE).read_text(encoding="utf-8"))
        names = listed["stages"]
        if listed["format"] != CASCADE_FORMAT or not isinstance(names, list) or not 0 < len(names) <= _MOST:
            raise ValueError("format or stages")
        if any(not isinstance(name, str) or Path(name).name != name or name[:1] in ("", ".") for name in names):
            raise ValueError("a stage is the name of a folder beside the list")
        if len(set(names)) != len(names):
            raise ValueError("a stage twice")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{folder / CASCADE} is no list of stages ({error}); train the cascade again.") from error
    return tuple(load(folder / name) for name in names)


def trained_folder() -> Path:
    """Where cascades go that are trained without naming a place: one folder each, named by its stages."""
    import platformdirs

    return Path(platformdirs.user_data_dir("reclass", appauthor=False)) / "bundles"
