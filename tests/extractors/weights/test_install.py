"""Installing weights: published digests are insisted on, unknown ones pinned, the result is safetensors."""

from __future__ import annotations

import dataclasses
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from music_reclass.errors import NothingToDo, ReclassError
from music_reclass.extractors.weights import catalogue, install, store
from music_reclass.extractors.weights.checkpoint import read_safetensors, write_safetensors
from tests.extractors.small_models import WEIGHTS, random_musicnn

MUSICNN = catalogue.model("musicnn")
UNPUBLISHED = dataclasses.replace(MUSICNN, files=(dataclasses.replace(MUSICNN.files[0], sha256=None),))


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


def weights_file(folder, seed=0, name="best_model.safetensors"):
    folder.mkdir(exist_ok=True)
    write_safetensors(folder / name, random_musicnn(seed))
    return folder / name


def test_the_published_file_under_any_name_is_installed():
    if not WEIGHTS.is_file():
        pytest.skip("needs ../shared/data/weights/musicnn_jamendo.pth")
    manifest = install.from_disk(MUSICNN, WEIGHTS)
    assert (manifest.tensors, manifest.values) == (MUSICNN.tensors, MUSICNN.values)
    assert manifest.source == MUSICNN.files[0].sha256
    assert store.pinned("musicnn") == manifest.digest


def test_another_file_than_the_published_is_refused_unless_trusted(tmp_path):
    file = weights_file(tmp_path)
    with pytest.raises(ReclassError, match=r"not the published.*--trust"):
        install.from_disk(MUSICNN, file)
    assert store.find("musicnn") is None
    assert install.from_disk(MUSICNN, file, trust=True).digest


def test_unknown_weights_are_pinned_at_first_use(tmp_path):
    first = install.from_disk(UNPUBLISHED, weights_file(tmp_path))
    assert install.from_disk(UNPUBLISHED, weights_file(tmp_path, name="copy")).digest == first.digest
    other = weights_file(tmp_path, seed=1, name="other")
    with pytest.raises(ReclassError, match=r"other weights.*--trust"):
        install.from_disk(UNPUBLISHED, other)
    assert store.needed("musicnn").digest == first.digest
    replaced = install.from_disk(UNPUBLISHED, other, trust=True)
    assert store.pinned("musicnn") == replaced.digest != first.digest


def test_a_folder_is_searched_for_the_weights(tmp_path):
    weights_file(tmp_path / "folder", name="model.safetensors")
    assert install.from_disk(UNPUBLISHED, tmp_path / "folder").tensors == 72
    with pytest.raises(NothingToDo, match=r"best_model\.pth"):
        install.from_disk(UNPUBLISHED, tmp_path)
    with pytest.raises(NothingToDo, match="does not exist"):
        install.from_disk(UNPUBLISHED, tmp_path / "gone")


def test_what_was_installed_is_what_was_in_the_file(tmp_path):
    installed = install.from_disk(UNPUBLISHED, weights_file(tmp_path))
    back, tensors = read_safetensors(installed.weights), random_musicnn()
    assert back.keys() == tensors.keys()
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)


def test_a_failed_install_leaves_the_old_model_in_place(tmp_path):
    first = install.from_disk(UNPUBLISHED, weights_file(tmp_path))
    write_safetensors(tmp_path / "wrong", {"x": np.zeros(2, np.float32)})
    with pytest.raises(ReclassError, match="no MusiCNN"):
        install.from_disk(UNPUBLISHED, tmp_path / "wrong")
    assert store.needed("musicnn") == first


def test_too_few_tensors_are_noticed_before_anything_is_loaded(tmp_path):
    write_safetensors(tmp_path / "part", {"encoder.pos_conv_embed.conv.bias": np.zeros(768, np.float32)})
    with pytest.raises(ReclassError, match="1 tensors, not 211"):
        install.from_disk(catalogue.model("mert"), tmp_path / "part")


def test_a_file_without_weights_is_refused(tmp_path):
    (tmp_path / "page.pth").write_text("<html>please log in</html>")
    with pytest.raises(ReclassError, match="no file of plain weights"):
        install.from_disk(UNPUBLISHED, tmp_path / "page.pth")


def test_a_download_ends_as_an_installed_model_and_leaves_no_copy(tmp_path):
    weights_file(tmp_path / "site", name="weights.bin")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "site"))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    file = catalogue.RemoteFile("weights.bin", f"http://127.0.0.1:{server.server_port}/weights.bin", 1000)
    try:
        installed = install.from_internet(dataclasses.replace(MUSICNN, files=(file,)), lambda _: None)
        wrong = dataclasses.replace(file, sha256="0" * 64)
        with pytest.raises(ReclassError, match="not the published"):
            install.from_internet(dataclasses.replace(MUSICNN, name="other", files=(wrong,)), lambda _: None)
    finally:
        server.shutdown()
        server.server_close()
    assert installed.origin == file.url
    assert list((store.models_folder() / ".downloads").iterdir()) == []
