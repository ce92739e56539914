"""Vectors as bytes: little-endian float32, nothing else; the kind says how long they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from music_reclass.errors import DatabaseError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encode(vector: NDArray[np.float32]) -> bytes:
    """The bytes of one finite vector, shape (d,); ValueError if it holds NaN or infinity."""
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError("only finite one-dimensional vectors are stored")
    return vector.astype("<f4").tobytes()


def decode(blob: bytes, dimension: int) -> NDArray[np.float32]:
    """The vector, shape (dimension,), float32; DatabaseError if the blob has another length."""
    if len(blob) != 4 * dimension:
        raise DatabaseError(
            f"a stored vector has {len(blob)} bytes where {4 * dimension} belong: the database is damaged; "
            "scan again with --rescan."
        )
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)
