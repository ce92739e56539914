"""Files of the Hugging Face hub: from its cache, by its library, else by the plain download; all on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from music_reclass.errors import ReclassError, ServerError
from music_reclass.extractors.weights import catalogue, install, store
from music_reclass.extractors.weights.catalogue import HUB, RemoteFile
from music_reclass.extractors.weights.checkpoint import write_safetensors
from tests.extractors.small_models import random_musicnn

COMMIT = "a" * 40
CONTENT = bytes(range(256)) * 1024
FILE = RemoteFile("model.bin", f"{HUB}/owner/name/resolve/{COMMIT}/part/model.bin", len(CONTENT))
MUSICNN = catalogue.model("musicnn")


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


class Hub:
    """A server that answers for one file as the hub does; it breaks off half-way `breaks` times."""

    def __init__(self):
        self.asked, self.tokens, self.ranges, self.breaks = [], [], [], 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                outer.answer(self, b"")

            def do_GET(self):
                outer.answer(self, CONTENT)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request, body):
        if not request.path.endswith((".bin", ".json", "/w")):  # the library asks for other things too
            request.send_error(404)
            return
        self.asked.append((request.command, request.path))
        self.tokens.append(request.headers.get("Authorization"))
        span = request.headers.get("Range")
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and body else 0
        if body:
            self.ranges.append(start)
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        request.send_header("Content-Length", str(len(CONTENT) - start))
        request.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.end_headers()
        rest = body[start:]
        if self.breaks and rest:
            self.breaks -= 1
            request.wfile.write(rest[: len(rest) // 2])
            request.close_connection = True
            return
        request.wfile.write(rest)


@pytest.fixture
def hub(monkeypatch):
    made = Hub()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    yield made
    made.http.shutdown()
    made.http.server_close()


class Progress:
    total = 0

    def __call__(self, count):
        self.total += count


def fetch(folder: Path, progress: Progress | None = None, file: RemoteFile = FILE) -> bytes:
    return install.fetch(file, folder, progress or Progress(), pause=lambda _: None).read_bytes()


def stand_in(monkeypatch, hf_hub_download):
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=hf_hub_download))


def without_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


def test_the_hubs_library_is_asked_for_the_commit_with_token_and_endpoint_and_reports_its_progress(
    tmp_path, monkeypatch
):
    asked = {}

    def hf_hub_download(repo_id, filename, *, revision, local_dir, token, endpoint, tqdm_class):
        asked.update(repo_id=repo_id, filename=filename, revision=revision, token=token, endpoint=endpoint)
        bar = tqdm_class(total=len(CONTENT), initial=100)
        bar.update(50)
        path = Path(local_dir) / filename
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        return str(path)

    stand_in(monkeypatch, hf_hub_download)
    monkeypatch.setattr(install, "_answers", lambda _: True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    progress = Progress()
    assert fetch(tmp_path / "d", progress) == CONTENT
    assert asked == {
        "repo_id": "owner/name", "filename": "part/model.bin", "revision": COMMIT, "token": "hf_secret",
        "endpoint": "https://mirror.example",
    }  # fmt: skip
    assert progress.total == len(CONTENT)


def test_an_old_library_that_takes_no_bar_counts_all_at_the_end(tmp_path, monkeypatch):
    def hf_hub_download(repo_id, filename, revision, local_dir, token, endpoint):
        path = Path(local_dir) / "x"
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        return str(path)

    stand_in(monkeypatch, hf_hub_download)
    monkeypatch.setattr(install, "_answers", lambda _: True)
    progress = Progress()
    assert fetch(tmp_path / "d", progress) == CONTENT
    assert progress.total == len(CONTENT)


def test_where_the_library_fails_the_plain_download_goes_on(hub, tmp_path, monkeypatch):
    def hf_hub_download(*_, tqdm_class, **__):
        tqdm_class(total=9).update(7)
        raise RuntimeError("anything")

    stand_in(monkeypatch, hf_hub_download)
    progress = Progress()
    assert fetch(tmp_path / "d", progress) == CONTENT
    assert progress.total == len(CONTENT)


def test_without_the_library_endpoint_and_token_hold_for_the_plain_download_which_resumes(hub, tmp_path, monkeypatch):
    without_library(monkeypatch)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.breaks = 1
    assert fetch(tmp_path / "d") == CONTENT
    assert hub.asked == [("GET", f"/owner/name/resolve/{COMMIT}/part/model.bin")] * 2
    assert hub.tokens == ["Bearer hf_secret"] * 2
    assert hub.ranges == [0, len(CONTENT) // 2]


def test_the_token_is_for_the_hub_alone(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.delenv("HF_ENDPOINT")
    fetch(tmp_path / "d", file=RemoteFile("model.bin", f"{hub.url}/model.bin", len(CONTENT)))
    assert hub.tokens == [None]


def test_the_real_library_fetches_resumes_and_leaves_the_cache_alone(hub, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(
        "huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16
    )  # what broke off within a chunk is lost
    monkeypatch.setattr("time.sleep", lambda _: None)  # before it tries again
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.breaks = 1
    progress = Progress()
    assert fetch(tmp_path / "d", progress) == CONTENT
    assert {method for method, _ in hub.asked} == {"HEAD", "GET"}  # the plain download would not ask for the head
    assert hub.ranges == [0, len(CONTENT) // 2]
    assert set(hub.tokens) == {"Bearer hf_secret"}
    assert progress.total == len(CONTENT)
    assert not (tmp_path / "hub").exists()


def test_where_nobody_answers_the_library_is_not_asked_and_the_mirror_is_named(tmp_path, monkeypatch):
    stand_in(monkeypatch, lambda *_, **__: pytest.fail("it would try for half a minute"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ServerError, match=r"^http://127\.0\.0\.1:9/owner/name/.* could not be fetched"):
        fetch(tmp_path / "d")


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_offline_means_that_nothing_of_the_hub_is_fetched(hub, tmp_path, monkeypatch, value):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(ServerError, match=r"HF_HUB_OFFLINE is set.*reclass models install"):
        fetch(tmp_path / "d")
    assert hub.asked == []


def published(tmp_path: Path, seed: int = 0) -> tuple[catalogue.Model, Path]:
    """MusiCNN as if it were of the hub, its published weights in the cache."""
    snapshot = tmp_path / "hub" / "models--owner--name" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    write_safetensors(snapshot / "w.safetensors", random_musicnn(seed))
    sha = store.file_digest(snapshot / "w.safetensors")
    file = RemoteFile("w.safetensors", f"{HUB}/owner/name/resolve/{COMMIT}/w.safetensors", 1000, sha)
    return dataclasses.replace(MUSICNN, files=(file,)), snapshot / "w.safetensors"


def test_weights_in_the_cache_are_installed_from_there_which_stays_as_it_is(tmp_path):
    model, path = published(tmp_path)
    before = sorted(tmp_path.joinpath("hub").rglob("*"))
    installed = install.from_hub_cache(model)
    assert installed is not None
    assert (installed.origin, installed.source) == (str(path), model.files[0].sha256)
    assert store.find("musicnn") == installed
    assert sorted(tmp_path.joinpath("hub").rglob("*")) == before


def test_other_weights_in_the_cache_are_passed_over_unless_trusted(tmp_path):
    model, path = published(tmp_path)
    write_safetensors(path, random_musicnn(seed=1))
    assert install.from_hub_cache(model) is None
    assert store.find("musicnn") is None
    assert install.from_hub_cache(model, trust=True) is not None


def test_a_settings_file_that_is_not_the_published_one_is_refused(hub, tmp_path, monkeypatch):
    without_library(monkeypatch)
    besides = RemoteFile("config.json", f"{hub.url}/config.json", len(CONTENT), "0" * 64)
    weights = RemoteFile("w", f"{hub.url}/w", len(CONTENT))
    with pytest.raises(ReclassError, match=r"not the published config\.json"):
        install.from_internet(dataclasses.replace(MUSICNN, files=(weights, besides)), Progress())
    assert not (store.models_folder() / ".downloads" / "musicnn").exists()
