"""A bundle of every type of model, written by hand: manifest and arrays as they stand on the disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
LABELS = ("Blues", "Jazz", "Rock")
WIDE = 518  # columns of fma518
TAGS = 50  # columns of musicnn-tags behind them
FREE = 623  # columns that do not change with the key


def numbers(name: str, *shape: int, kind: str = "f4") -> NDArray[Any]:
    """Numbers from -0.5 to 0.5 in steps of 1/256, by name; exact in float16."""
    count = int(np.prod(shape))
    drawn = np.frombuffer(hashlib.shake_128(name.encode()).digest(count), dtype=np.uint8).astype(np.int64)
    return ((drawn - 128) / 256).astype(kind).reshape(shape)


def knots(width: int) -> NDArray[np.float32]:
    """Nine rising knots a column."""
    return np.repeat(np.arange(-4, 5, dtype=np.float32)[:, None], width, axis=1)


def networks() -> tuple[dict[str, Any], Arrays]:
    members = [{"input": "key_free", "layers": 2}, {"input": "unchanged", "layers": 1}]
    arrays = {
        "key_free.knots": knots(FREE), "unchanged.knots": knots(WIDE + TAGS),
        "0.0.weights": numbers("a", FREE, 4, kind="f2"), "0.0.bias": numbers("b", 4, kind="f2"),
        "0.1.weights": numbers("c", 4, 3, kind="f2"), "0.1.bias": numbers("d", 3, kind="f2"),
        "1.0.weights": numbers("e", WIDE + TAGS, 3, kind="f2"), "1.0.bias": numbers("f", 3, kind="f2"),
    }  # fmt: skip
    return {"type": "mlp-ensemble", "inputs": ["key_free", "unchanged"], "members": members}, arrays


def linear(width: int = WIDE + TAGS) -> tuple[dict[str, Any], Arrays]:
    arrays = {"knots": knots(width), "weights": numbers("g", width, 3) / 64, "bias": numbers("h", 3)}
    return {"type": "linear", "input": "unchanged"}, arrays


def trees() -> tuple[dict[str, Any], Arrays]:
    """Six trees of one fork each."""
    own = np.tile(np.arange(3, dtype=np.int16), (6, 1))
    left, right = own.copy(), own.copy()
    left[:, 0], right[:, 0] = 1, 2
    feature = np.zeros((6, 3), dtype=np.int16)
    feature[:, 0] = [0, 7, 100, 300, 517, 550]
    label = np.array([0, 1, 2, 0, 1, 2], dtype=np.int16)
    arrays = {"feature": feature, "split": numbers("i", 6, 3), "left": left, "right": right, "label": label}
    return {"type": "trees", "depth": 1}, {**arrays, "base": np.zeros(3, dtype=np.float32)}


def stack() -> tuple[dict[str, Any], Arrays]:
    """Its third member was of the type `tags`, which was removed before it was ever shipped."""
    members = [linear(), trees(), linear()]
    arrays = {f"{n}/{name}": array for n, (_, own) in enumerate(members) for name, array in own.items()}
    return {"type": "stack", "weights": [0.5, 0.25, 1.0], "members": [member for member, _ in members]}, arrays


def selected() -> tuple[dict[str, Any], Arrays]:
    """Of the 518 columns alone."""
    description, arrays = linear(2)
    return {"type": "selected", "columns": ["mfcc_mean_01", "mfcc_mean_02"], "model": description}, arrays


def translated() -> tuple[dict[str, Any], Arrays]:
    description, arrays = linear()
    shares = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.25, 0.25, 0.5]])
    found = {"type": "translated", "calibration": {"temperature": 1.5, "doubt": 0.125}, "model": description}
    inner = {f"inner/{name}": array for name, array in arrays.items()}
    return found, {**inner, "shares": shares, "spare": np.full(3, 0.0625)}


def tag_head() -> tuple[dict[str, Any], Arrays]:
    return {"type": "tag-head"}, {"shares": np.abs(numbers("j", WIDE + TAGS, 3)).astype(np.float64)}


def extended() -> tuple[dict[str, Any], Arrays]:
    description, arrays = linear()
    narrow = {**arrays, "weights": arrays["weights"][:, :2], "bias": arrays["bias"][:2]}
    parts = {"model": narrow, "base": arrays}
    found = {"type": "extended", "learned": [0, 2], "shift": 1.5, "model": description, "base": description}
    return found, {f"{part}/{name}": array for part, inner in parts.items() for name, array in inner.items()}


TYPES = {
    "mlp-ensemble": networks, "linear": linear, "trees": trees, "stack": stack, "selected": selected,
    "translated": translated, "tag-head": tag_head, "extended": extended,
}  # fmt: skip


def digest(manifest: dict[str, Any], arrays: Arrays) -> str:
    """What a bundle is known by: SHA-256 over its manifest in compact JSON, and over its arrays."""
    without = {key: value for key, value in manifest.items() if key != "digest"}
    found = hashlib.sha256(json.dumps(without, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"\n{name} {array.dtype.name} {array.shape}\n".encode())
        found.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()


def write(folder: Path, kind: str, columns_digest: str) -> dict[str, Any]:
    """A bundle of one of TYPES in `folder`; its manifest."""
    description, arrays = TYPES[kind]()
    kinds = [{"name": "fma518", "version": "1", "dimension": WIDE, "excerpt": "mid30"}]
    if kind != "selected":
        kinds.append({"name": "musicnn-tags", "version": "1-425c7c95", "dimension": TAGS, "excerpt": "mid30"})
    manifest: dict[str, Any] = {
        "name": "golden", "version": "7", "stage": kind, "kinds": kinds, "labels": list(LABELS),
        "thresholds": {"confident": 0.75, "likely": 0.5}, "calibration": {"temperature": 0.75, "doubt": 0.0625},
        "format": 1, "model": description, "columns_digest": columns_digest,
    }  # fmt: skip
    manifest["digest"] = digest(manifest, arrays)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    np.savez(folder / "arrays.npz", **arrays)
    return manifest


def table(rows: int, kind: str) -> NDArray[np.float32]:
    """Rows for such a bundle: the 518 from -4 to 4, the tags from 0 to 1."""
    wide = numbers("rows", rows, WIDE) * 8
    tagged = np.clip(numbers("tagged", rows, TAGS) + np.float32(0.5), 0, 1)
    return wide if kind == "selected" else np.concatenate([wide, tagged], axis=1)
