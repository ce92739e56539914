"""Files of torch.save, read without torch: equal to what torch reads, and nothing in them is ever run."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest

from music_reclass.errors import ReclassError
from music_reclass.extractors.weights import checkpoint
from tests.extractors.small_models import WEIGHTS


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_it_reads_what_torch_wrote(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    state = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict()
    state["transposed"] = torch.randn(5, 7).T[2:4]
    state["short"] = torch.randn(3, 3).bfloat16()
    state["half"] = torch.randn(3).half()
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    tree = {"state_dict": state, "author": "someone", "list": [1, -2.5, None, True, (1, 2)], "big": 1 << 40}
    torch.save(tree, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    back = checkpoint.read_torch(tmp_path / "x.pth")
    assert (back["author"], back["list"], back["big"]) == (tree["author"], tree["list"], tree["big"])
    assert back["state_dict"].keys() == state.keys()
    for name, tensor in state.items():
        wanted = tensor.detach().float().numpy() if name == "short" else tensor.detach().numpy()
        assert back["state_dict"][name].dtype == wanted.dtype
        assert np.array_equal(back["state_dict"][name], wanted)


def test_it_reads_the_real_checkpoint_of_2020_as_torch_does():
    if not WEIGHTS.is_file():
        pytest.skip("needs ../shared/data/weights/musicnn_jamendo.pth")
    torch = pytest.importorskip("torch")
    ours, theirs = checkpoint.read_torch(WEIGHTS), torch.load(WEIGHTS, map_location="cpu", weights_only=True)
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], theirs[name].numpy()) for name in ours)


class Evil:
    """What a malicious checkpoint holds."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle was run')",))


def archive(path, content):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", content)
    return path


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_pickle_is_refused_and_never_run(tmp_path, protocol):
    path = archive(tmp_path / "evil.pth", pickle.dumps({"x": Evil()}, protocol=protocol))
    with pytest.raises(ReclassError, match="it calls"):
        checkpoint.read_torch(path)


def test_an_object_of_a_class_is_refused(tmp_path):
    path = archive(tmp_path / "x.pth", pickle.dumps({"x": pytest.approx}, protocol=2))
    with pytest.raises(ReclassError, match="it mentions"):
        checkpoint.read_torch(path)


@pytest.mark.parametrize("content", [b"", b"text, not weights", pickle.dumps(3), b"\x80\x02}q\x00.", b"\x80\x02"])
def test_other_files_are_refused_in_one_sentence(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ReclassError, match="no file of plain weights"):
        checkpoint.read_torch(tmp_path / "x.pth")


def test_a_zip_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("readme", "hello")
    with pytest.raises(ReclassError, match=r"no data\.pkl"):
        checkpoint.read_torch(tmp_path / "x.zip")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_short_is_refused(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.randn(1000)}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "x.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReclassError):
        checkpoint.read_torch(tmp_path / "cut.pth")
