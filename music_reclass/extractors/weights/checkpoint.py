"""Reads tensors from safetensors and torch files without pickle and without torch."""

from __future__ import annotations

import io
import json
import math
import os
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import ReclassError

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "U8": "u1", "BOOL": "?"}
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}
_HEADER_LIMIT = 100 * 1024 * 1024  # the limit of the format


def is_safetensors(path: Path) -> bool:
    """Whether a file opens with the length of a JSON header that begins with a brace."""
    with path.open("rb") as file:
        length, brace = int.from_bytes(file.read(8), "little"), file.read(1)
        return brace == b"{" and 2 <= length <= min(_HEADER_LIMIT, os.fstat(file.fileno()).st_size - 8)


class Tensors(Mapping[str, NDArray[Any]]):
    """The tensors of a safetensors file by name, each mapped from the disk while somebody holds it.

    Writing to one changes a copy in memory, never the file.
    """

    def __init__(self, path: Path, start: int, entries: dict[str, Any]) -> None:
        self._path, self._start, self._entries = path, start, entries

    def __getitem__(self, name: str) -> NDArray[Any]:
        entry = self._entries[name]
        first, last = entry["data_offsets"]
        raw: NDArray[Any] = np.empty(0, np.uint8)
        if last > first:
            raw = np.memmap(self._path, np.uint8, "c", self._start + first, (last - first,))
        if entry["dtype"] == "BF16":
            flat: NDArray[Any] = (raw.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
        else:
            flat = raw.view(np.dtype(_TYPES[entry["dtype"]]))
        return flat.reshape([int(n) for n in entry["shape"]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def read_safetensors(path: Path) -> Tensors:
    """The tensors by name, none read before it is asked for; bfloat16 comes as float32. ReclassError if damaged."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _HEADER_LIMIT:
                raise ValueError("the header is too long")
            header = json.loads(file.read(length))
            room = os.fstat(file.fileno()).st_size - 8 - length
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        for entry in entries.values():
            _check(entry, room)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReclassError(f"{path} is no whole safetensors file ({error}); install the model again.") from error
    return Tensors(path, 8 + length, entries)


def _check(entry: Mapping[str, Any], room: int) -> None:
    """ValueError, KeyError or TypeError unless a tensor lies within the file and is as long as its shape says."""
    start, stop = entry["data_offsets"]
    if not 0 <= start <= stop <= room:
        raise ValueError("a tensor lies beyond the end of the file")
    width = 2 if entry["dtype"] == "BF16" else np.dtype(_TYPES[entry["dtype"]]).itemsize
    shape = [int(n) for n in entry["shape"]]
    if min(shape, default=0) < 0 or math.prod(shape) * width != stop - start:
        raise ValueError("a tensor is not as long as its shape says")


def write_safetensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
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


_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "ByteStorage": "u1", "CharStorage": "i1", "BoolStorage": "?", "BFloat16Storage": "bf16",
}  # fmt: skip
_MARK = object()


@dataclass(frozen=True, slots=True)
class _Name:
    """A global that the pickle mentions; it stays a name."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unreadable(Exception):
    """The pickle holds something that plain weights do not."""


def read_torch(path: Path) -> Any:
    """The saved tree of dicts, lists, numbers and strings with arrays for tensors; ReclassError for anything else.

    Reads the zip format (torch >= 1.6) and the one before it. bfloat16 comes as float32.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _read_zip(archive)
        with path.open("rb") as file:
            return _read_legacy(file)
    except (_Unreadable, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ReclassError(f"{path.name} is no file of plain weights ({error}).") from error


def _read_zip(archive: zipfile.ZipFile) -> Any:
    pickles = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise _Unreadable("it holds no data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise _Unreadable("it was written on a big-endian machine")
    tree = _walk(io.BytesIO(archive.read(pickles[0])))
    return _filled(tree, lambda storage: archive.read(f"{root}data/{storage.key}"))


def _read_legacy(file: BinaryIO) -> Any:
    if _walk(file) != _LEGACY_MAGIC:
        raise _Unreadable("it was not written by torch.save")
    _walk(file)  # protocol version
    if not _walk(file).get("little_endian", True):
        raise _Unreadable("it was written on a big-endian machine")
    tree = _walk(file)
    kinds = {storage.key: storage.kind for storage in _storages(tree)}
    blobs: dict[str, bytes] = {}
    for key in _walk(file):
        count = int.from_bytes(file.read(8), "little")
        blobs[key] = file.read(count * _width(kinds[key]))
    return _filled(tree, lambda storage: blobs[storage.key])


def _width(kind: str) -> int:
    return 2 if kind == "bf16" else np.dtype(kind).itemsize


def _storages(tree: Any) -> Iterator[_Storage]:
    if isinstance(tree, _Tensor):
        yield tree.storage
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ():
        yield from _storages(value)


def _filled(tree: Any, blob: Callable[[_Storage], bytes]) -> Any:
    """The tree with every tensor replaced by its array."""
    if isinstance(tree, dict):
        return {key: _filled(value, blob) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_filled(value, blob) for value in tree)
    if isinstance(tree, _Tensor):
        return _array(tree, blob(tree.storage))
    if isinstance(tree, _Name | _Storage):
        raise _Unreadable(f"it mentions {tree}")
    return tree


def _array(tensor: _Tensor, raw: bytes) -> NDArray[Any]:
    if tensor.storage.kind == "bf16":
        flat: NDArray[Any] = (np.frombuffer(raw, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    else:
        flat = np.frombuffer(raw, np.dtype(tensor.storage.kind))
    if min((*tensor.shape, *tensor.strides, tensor.offset, 0)) < 0:
        raise _Unreadable("a tensor has a negative size")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if 0 not in tensor.shape and last >= len(flat):
        raise _Unreadable("a tensor lies beyond the end of its storage")
    strides = tuple(step * flat.itemsize for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False)


def _walk(file: BinaryIO) -> Any:
    """The value of one pickle, by a stack machine that knows plain containers, tensors and storages only."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name == "STOP":
            return stack.pop()
        if name in ("PROTO", "FRAME"):
            continue
        if name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(argument)])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _STEPS:
            _STEPS[name](stack, argument)
        else:
            raise _Unreadable(f"opcode {name}")
    raise _Unreadable("it ends early")


def _since_mark(stack: list[Any]) -> list[Any]:
    at = max(i for i, value in enumerate(stack) if value is _MARK)
    values = stack[at + 1 :]
    del stack[at:]
    return values


def _tuple(count: int) -> Callable[[list[Any], Any], None]:
    def step(stack: list[Any], _: Any) -> None:
        values = tuple(stack[-count:])
        del stack[-count:]
        stack.append(values)

    return step


def _set_items(stack: list[Any], _: Any) -> None:
    pairs = _since_mark(stack)
    stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))


def _set_item(stack: list[Any], _: Any) -> None:
    value, key = stack.pop(), stack.pop()
    stack[-1][key] = value


def _append(stack: list[Any], _: Any) -> None:
    value = stack.pop()
    stack[-1].append(value)


def _appends(stack: list[Any], _: Any) -> None:
    values = _since_mark(stack)
    stack[-1].extend(values)


def _stack_global(stack: list[Any], _: Any) -> None:
    name, module = stack.pop(), stack.pop()
    stack.append(_Name(f"{module} {name}"))


def _build(stack: list[Any], _: Any) -> None:
    stack.pop()  # attributes such as state_dict's _metadata; the values are all we want
    if not isinstance(stack[-1], dict):
        raise _Unreadable("it holds an object")


def _persistent(stack: list[Any], _: Any) -> None:
    word, kind, key, *_rest = stack.pop()
    storage = _STORAGES.get(kind.name.removeprefix("torch ").removeprefix("torch.storage "))
    if word != "storage" or storage is None:
        raise _Unreadable(f"a storage of type {kind.name}")
    stack.append(_Storage(str(key), storage))


def _reduce(stack: list[Any], _: Any) -> None:
    arguments, function = stack.pop(), stack.pop()
    if function == _Name("collections OrderedDict") and not arguments:
        stack.append({})
    elif function == _Name("torch._utils _rebuild_tensor_v2"):
        storage, offset, shape, strides = arguments[:4]
        stack.append(_Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides))))
    elif function == _Name("torch._utils _rebuild_parameter"):
        stack.append(arguments[0])
    else:
        raise _Unreadable(f"it calls {getattr(function, 'name', function)}")


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK, "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
}  # fmt: skip
_LITERALS = frozenset(
    {
        "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    }
)  # fmt: skip
_STEPS: dict[str, Callable[[list[Any], Any], None]] = {
    "TUPLE": lambda stack, _: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "GLOBAL": lambda stack, argument: stack.append(_Name(argument)),
    "STACK_GLOBAL": _stack_global,
    "BUILD": _build,
    "BINPERSID": _persistent,
    "REDUCE": _reduce,
}
