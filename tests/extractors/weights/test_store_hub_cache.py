"""Hugging Face's cache is found where its own library keeps it, and read without being changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from music_reclass.extractors.weights import store
from music_reclass.extractors.weights.catalogue import RemoteFile, model

OURS, MAIN, OLD = "a" * 40, "b" * 40, "c" * 40
SHA = "5" * 64
FILE = RemoteFile("model.bin", f"https://huggingface.co/owner/name/resolve/{OURS}/part/model.bin", 3, SHA)


def put(cache: Path, commit: str, blob: str, when: int = 1) -> Path:
    """A file as huggingface_hub keeps it: a blob, and a link to it in the snapshot of a commit."""
    repository = cache / "models--owner--name"
    (repository / "blobs").mkdir(parents=True, exist_ok=True)
    (repository / "blobs" / blob).write_bytes(b"abc")
    path = repository / "snapshots" / commit / "part" / "model.bin"
    path.parent.mkdir(parents=True)
    path.symlink_to(os.path.relpath(repository / "blobs" / blob, path.parent))
    os.utime(repository / "snapshots" / commit, (when, when))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a/hub", "HF_HOME": "/b"}, "/a/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "/c"}, "/c"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"HOME": "/h", "HF_HOME": "~/hf"}, "/h/hf/hub"),
        ({"HOME": "/h"}, "/h/.cache/huggingface/hub"),
    ],
)
def test_the_cache_lies_where_the_variables_of_its_library_say(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert store.hub_cache() == Path(expected)


def test_the_commit_of_the_catalogue_comes_first_then_main_then_the_newest(cache: Path) -> None:
    newest, old = put(cache, "d" * 40, SHA, 9), put(cache, OLD, SHA, 2)
    main, ours = put(cache, MAIN, SHA, 3), put(cache, OURS, SHA, 1)
    refs = cache / "models--owner--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text(MAIN)
    assert list(store.in_hub_cache(FILE)) == [ours, main, newest, old]


def test_a_blob_that_is_named_by_another_sha256_is_other_weights(cache: Path) -> None:
    put(cache, OURS, "6" * 64)
    small = put(
        cache, MAIN, "f" * 40
    )  # files that are no LFS objects are named by git's digest, which says nothing here
    assert list(store.in_hub_cache(FILE)) == [small]


def test_a_download_that_was_broken_off_is_no_copy(cache: Path) -> None:
    path = put(cache, OURS, SHA)
    path.resolve().rename(path.resolve().with_suffix(".incomplete"))
    assert list(store.in_hub_cache(FILE)) == []


def test_no_cache_no_such_model_and_a_file_from_elsewhere_have_no_copy(cache: Path) -> None:
    assert list(store.in_hub_cache(FILE)) == []
    cache.mkdir()
    assert list(store.in_hub_cache(FILE)) == []
    assert list(store.in_hub_cache(RemoteFile("x", "https://example.org/x", 1))) == []


def test_looking_changes_nothing(cache: Path) -> None:
    put(cache, OURS, SHA)
    before = {path: path.lstat().st_mtime_ns for path in cache.rglob("*")}
    assert list(store.in_hub_cache(FILE))
    assert {path: path.lstat().st_mtime_ns for path in cache.rglob("*")} == before


def test_models_of_the_hub_are_known_to_it_by_repository_commit_and_path() -> None:
    assert model("mert").files[0].hub == (
        "m-a-p/MERT-v1-95M", "12af15fef9d0ac838c3f475bfbbf26d2060dd4f5", "pytorch_model.bin",
    )  # fmt: skip
    hubert = model("hubert").files[0].hub
    assert hubert is not None
    assert hubert.path == "checkpoint/model.safetensors"
    assert model("musicnn").files[0].hub is None
