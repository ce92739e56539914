"""What is written beside the weights is written whole or not at all, and any two sets of tensors differ in digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from music_reclass.errors import ReclassError, UsageError
from music_reclass.extractors.registry import EXTRACTORS, extractor, network_kinds, require_weights
from music_reclass.extractors.weights import store
from music_reclass.extractors.weights.catalogue import MODELS, Model, RemoteFile, model
from music_reclass.extractors.weights.checkpoint import read_safetensors, write_safetensors
from music_reclass.extractors.weights.install import from_disk, read_checkpoint
from tests.extractors import small_models

TENSORS = st.dictionaries(
    st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3})?", fullmatch=True),
    arrays.arrays(
        st.sampled_from([np.dtype("<f4"), np.dtype("<i8"), np.dtype("u1")]),
        arrays.array_shapes(min_dims=0, max_dims=3, max_side=3),
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


@settings(max_examples=60, deadline=None)
@given(tensors=TENSORS, order=st.randoms(use_true_random=False))
def test_a_digest_does_not_see_order_layout_or_byte_order(tensors: dict[str, np.ndarray], order: Any) -> None:
    names = list(tensors)
    order.shuffle(names)
    other = {name: np.array(tensors[name], order="F").astype(tensors[name].dtype.newbyteorder(">")) for name in names}
    assert store.tensors_digest(other) == store.tensors_digest(tensors)


@settings(max_examples=60, deadline=None)
@given(tensors=TENSORS, choice=st.integers(0, 99))
def test_a_digest_sees_one_bit_one_name_and_one_tensor(tensors: dict[str, np.ndarray], choice: int) -> None:
    name = sorted(tensors)[choice % len(tensors)]
    flipped = np.frombuffer(tensors[name].tobytes(), np.uint8).copy()
    flipped[choice % len(flipped)] ^= 1
    changed = np.frombuffer(flipped.tobytes(), tensors[name].dtype).reshape(tensors[name].shape)
    rest = {other: tensor for other, tensor in tensors.items() if other != name}
    digest = store.tensors_digest(tensors)
    assert store.tensors_digest({**rest, name: changed}) != digest
    assert store.tensors_digest({**rest, f"{name}_": tensors[name]}) != digest
    assert store.tensors_digest(rest) != digest
    assert store.tensors_digest({**rest, name: tensors[name][None]}) != digest


@settings(max_examples=40, deadline=None)
@given(tensors=TENSORS)
def test_weights_keep_their_digest_through_a_file(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, np.ndarray]
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    write_safetensors(file, tensors)
    assert store.tensors_digest(read_safetensors(file)) == store.tensors_digest(tensors)
    assert store.tensors_digest(read_checkpoint(file)) == store.tensors_digest(tensors)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_file_has_the_digest_that_sha256sum_prints(tmp_path: Path, size: int) -> None:
    content = bytes(n % 251 for n in range(1000)) * (size // 1000 + 1)
    (tmp_path / "file").write_bytes(content[:size])
    assert store.file_digest(tmp_path / "file") == hashlib.sha256(content[:size]).hexdigest()


def test_an_object_that_is_no_json_leaves_the_old_one_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "pins.json"
    store.write_json(path, {"mert": "äbc"})
    with pytest.raises(TypeError):
        store.write_json(path, {"mert": object()})
    assert store.read_json(path) == {"mert": "äbc"}
    assert [one.name for one in path.parent.iterdir()] == ["pins.json"]


def test_the_models_lie_where_the_environment_says_or_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.models_folder() == tmp_path / "models"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECLASS_MODELS", "~/weights")
    assert store.models_folder() == tmp_path / "home" / "weights"
    monkeypatch.delenv("RECLASS_MODELS")
    assert store.models_folder().parts[-2:] == ("reclass", "models")


def test_a_manifest_without_its_weights_is_no_installed_model() -> None:
    installed = small_models.install("mert", {"x": np.zeros(2, np.float32)})
    assert store.needed("mert").short_digest == installed.digest[:8]
    installed.weights.unlink()
    assert store.find("mert") is None


def test_a_pin_that_is_no_text_pins_nothing() -> None:
    store.write_json(store.models_folder() / "pins.json", {"mert": 7})
    assert store.pinned("mert") is None
    store.pin("mert", "abc")
    assert store.pinned("mert") == "abc"


def test_a_model_that_was_installed_at_another_time_has_the_same_digest_in_its_kind(tmp_path: Path) -> None:
    tensors = small_models.random_musicnn()
    first = small_models.install("musicnn", tensors)
    version = extractor("musicnn", "mid30").kind.version
    assert first.short_digest in version
    small_models.install("musicnn", dict(reversed(tensors.items())))
    assert extractor("musicnn", "mid30").kind.version == version
    small_models.install("musicnn", small_models.random_musicnn(seed=1))
    assert extractor("musicnn", "mid30").kind.version != version


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}", b"PK\3\4", b"\xff" * 100], ids=len)
def test_a_file_that_holds_no_weights_changes_nothing_that_is_installed(tmp_path: Path, content: bytes) -> None:
    before = small_models.install("musicnn", small_models.random_musicnn())
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(ReclassError):
        from_disk(model("musicnn"), tmp_path / "model.bin", trust=True)
    assert store.needed("musicnn") == before


@pytest.mark.parametrize("found", MODELS.values(), ids=list(MODELS))
def test_published_files_are_named_by_a_whole_digest_and_lie_at_one_address(found: Model) -> None:
    digests = [file.sha256 for file in found.files if file.sha256 is not None]
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in digests)
    assert len({file.url for file in found.files}) == len(found.files)
    assert max(found.files, key=lambda file: file.size) is found.files[0]
    # two to four bytes a number: what is downloaded can hold what is expected of it
    if found.is_graph:
        assert (found.tensors, found.values) == (0, 0)
        return
    assert 0.9 < found.files[0].size / found.values / 4 < 1.1


def test_the_size_of_a_model_is_that_of_all_its_files() -> None:
    files = (RemoteFile("a", "https://x/a", 3), RemoteFile("b", "https://x/b", 4))
    assert Model("m", "M", ("k",), files, "MIT", 1, 1, "x:y").size == 7


@pytest.mark.parametrize("name", EXTRACTORS)
def test_what_is_missing_is_named_with_the_command_that_brings_it(name: str) -> None:
    if name == "fma518":
        require_weights(name)
        return
    (owner,) = (one.name for one in MODELS.values() if name in one.kinds)
    with pytest.raises(UsageError, match=f"^the model {owner} is not installed: reclass models download {owner}, or"):
        require_weights(name)


@pytest.mark.parametrize("name", sorted(set(EXTRACTORS) - network_kinds()))
def test_a_kind_that_needs_no_torch_is_one_of_numpy_or_of_onnx_runtime(name: str) -> None:
    owners = [one for one in MODELS.values() if name in one.kinds]
    assert all(one.extra == ("onnx" if one.is_graph else "") for one in owners)
