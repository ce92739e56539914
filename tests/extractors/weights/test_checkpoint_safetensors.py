"""safetensors in NumPy: what the library writes we read, what we write the library reads."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from music_reclass.errors import ReclassError
from music_reclass.extractors.weights.checkpoint import is_safetensors, read_safetensors, write_safetensors

TENSORS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array(3, dtype=np.int64),
    "c": np.array([1.5, -2], dtype=np.float16),
    "empty": np.zeros((0, 4), np.float32),
}


def equal(one, other):
    return one.keys() == other.keys() and all(
        one[k].dtype == other[k].dtype and np.array_equal(one[k], other[k]) for k in one
    )


def test_what_is_written_comes_back(tmp_path):
    write_safetensors(tmp_path / "x", TENSORS)
    assert equal(read_safetensors(tmp_path / "x"), TENSORS)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrays.arrays(st.sampled_from([np.float32, np.float16, np.int64, np.uint8]), arrays.array_shapes(min_side=0)))
def test_any_array_comes_back(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("any") / "x"
    write_safetensors(path, {"array": array.T})
    back = read_safetensors(path)["array"]
    assert back.dtype == array.dtype
    assert np.array_equal(back, array.T, equal_nan=array.dtype.kind == "f")


def test_the_library_reads_ours_and_we_read_the_librarys(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    write_safetensors(tmp_path / "ours", TENSORS)
    assert equal(library.load_file(tmp_path / "ours"), TENSORS)
    library.save_file(TENSORS, tmp_path / "theirs", metadata={"format": "pt"})
    assert equal(read_safetensors(tmp_path / "theirs"), TENSORS)


def test_bfloat16_comes_as_float32(tmp_path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    library.save_file({"x": torch.tensor([1.0, -2.5, 3e38]).bfloat16()}, tmp_path / "x")
    assert read_safetensors(tmp_path / "x")["x"].tolist() == torch.tensor([1.0, -2.5, 3e38]).bfloat16().tolist()


def test_it_tells_its_own_format_from_others(tmp_path):
    write_safetensors(tmp_path / "x", TENSORS)
    (tmp_path / "zip").write_bytes(b"PK\x03\x04" + bytes(100))
    (tmp_path / "empty").write_bytes(b"")
    assert [is_safetensors(tmp_path / name) for name in ("x", "zip", "empty")] == [True, False, False]


@pytest.mark.parametrize("cut", [4, 40, -5])
def test_a_file_cut_short_is_refused(tmp_path, cut):
    write_safetensors(tmp_path / "x", TENSORS)
    (tmp_path / "cut").write_bytes((tmp_path / "x").read_bytes()[:cut])
    with pytest.raises(ReclassError, match="no whole safetensors"):
        read_safetensors(tmp_path / "cut")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 999]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "x"},
        7,
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, entry):
    header = json.dumps({"x": entry}).encode()
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ReclassError, match="no whole safetensors"):
        read_safetensors(tmp_path / "x")


def test_nothing_is_left_of_a_write_that_failed(tmp_path):
    with pytest.raises(KeyError):
        write_safetensors(tmp_path / "x", {"x": np.zeros(2, np.complex64)})
    assert list(tmp_path.iterdir()) == []
