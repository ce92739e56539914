"""Vectors survive the way to disk and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from hypothesis.strategies import floats

from music_reclass.errors import DatabaseError
from music_reclass.features.database import decode, encode


@given(arrays.arrays(np.float32, 7, elements=floats(width=32, allow_nan=False, allow_infinity=False)))
def test_a_vector_comes_back_bit_for_bit(vector: np.ndarray) -> None:
    assert decode(encode(vector), 7).tobytes() == vector.tobytes()


@pytest.mark.parametrize("vector", [[np.nan], [np.inf], [[1.0]]])
def test_nan_infinity_and_matrices_are_refused(vector: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        encode(np.array(vector, np.float32))


def test_a_blob_of_another_length_is_refused() -> None:
    with pytest.raises(DatabaseError, match="damaged"):
        decode(b"\0" * 12, 4)
