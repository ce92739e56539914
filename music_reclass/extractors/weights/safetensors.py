"""The safetensors format in NumPy: a JSON header and raw arrays, so that reading weights needs no other package."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import ReclassError

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "U8": "u1", "BOOL": "?"}
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}
_HEADER_LIMIT = 100 * 1024 * 1024  # the format's own limit


def looks_like(path: Path) -> bool:
    """Whether a file opens with the length of a JSON header that begins with a brace."""
    with path.open("rb") as file:
        length, brace = int.from_bytes(file.read(8), "little"), file.read(1)
        return brace == b"{" and 2 <= length <= min(_HEADER_LIMIT, os.fstat(file.fileno()).st_size - 8)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor by name, mapped from the disk read-only; bfloat16 comes as float32. ReclassError if damaged."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _HEADER_LIMIT:
                raise ValueError("the header is too long")
            header = json.loads(file.read(length))
        data = np.memmap(path, dtype=np.uint8, mode="r")[8 + length :]
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _tensor(data, entry) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReclassError(f"{path} is no whole safetensors file ({error}); install the model again.") from error


def _tensor(data: NDArray[Any], entry: Mapping[str, Any]) -> NDArray[Any]:
    start, stop = entry["data_offsets"]
    if not 0 <= start <= stop <= len(data):
        raise ValueError("a tensor lies beyond the end of the file")
    raw = data[start:stop]
    shape = tuple(int(n) for n in entry["shape"])
    if entry["dtype"] == "BF16":
        flat: NDArray[Any] = (raw.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    else:
        flat = raw.view(np.dtype(_TYPES[entry["dtype"]]))
    return flat.reshape(shape)


def write(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write the tensors, names sorted, whole or not at all: a temporary file beside `path` takes its place."""
    header: dict[str, Any] = {}
    offset = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        header[name] = {
            "dtype": _NAMES[tensor.dtype.newbyteorder("<")],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in sorted(tensors):
                tensor = np.ascontiguousarray(tensors[name], dtype=tensors[name].dtype.newbyteorder("<"))
                file.write(tensor.reshape(-1).view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
