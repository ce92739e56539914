"""Downloads from a server on this machine that breaks off, resumes, changes its mind and refuses."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from music_reclass.errors import ReclassError, ServerError
from music_reclass.extractors.weights import install
from music_reclass.extractors.weights.catalogue import RemoteFile

CONTENT = bytes(range(256)) * 4096  # 1 MiB


class Server:
    """Serves CONTENT; `breaks` is how many times it breaks off half-way, `status` an error to answer with."""

    def __init__(self):
        self.content, self.etag, self.breaks, self.status, self.ranges, self.can_resume = CONTENT, '"1"', 0, 0, [], True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/model.bin"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        span = request.headers.get("Range")
        self.ranges.append(span)
        if self.status:
            request.send_error(self.status)
            return
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        if start and (request.headers.get("If-Range") != self.etag or not self.can_resume):
            start = 0
        if start >= len(self.content):
            request.send_error(416)
            return
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("ETag", self.etag)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.breaks:
            self.breaks -= 1
            request.wfile.write(body[: len(body) // 2])
            request.close_connection = True
            return
        request.wfile.write(body)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


class Progress:
    total = 0

    def __call__(self, count):
        self.total += count


def fetch(server, folder, progress=None):
    file = RemoteFile("model.bin", server.url, len(CONTENT))
    return install.fetch(file, folder, progress or Progress(), pause=lambda _: None)


def test_a_file_comes_whole_and_progress_adds_up(server, tmp_path):
    progress = Progress()
    assert fetch(server, tmp_path, progress).read_bytes() == CONTENT
    assert progress.total == len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]


def test_a_connection_that_breaks_off_is_continued_where_it_broke(server, tmp_path):
    server.breaks = 2
    progress = Progress()
    assert fetch(server, tmp_path, progress).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-", f"bytes={len(CONTENT) * 3 // 4}-"]
    assert progress.total == len(CONTENT)


def test_another_day_continues_what_the_first_left(server, tmp_path):
    server.breaks = 99
    with pytest.raises(ServerError, match="continues later"):
        fetch(server, tmp_path)
    server.breaks, server.ranges = 0, []
    progress = Progress()
    assert fetch(server, tmp_path, progress).read_bytes() == CONTENT
    assert server.ranges[0].startswith("bytes=")
    assert progress.total == len(CONTENT)


@pytest.mark.parametrize("reason", ["changed", "cannot resume"])
def test_a_file_that_cannot_be_continued_is_begun_anew(server, tmp_path, reason):
    server.breaks = 99
    with pytest.raises(ServerError):
        fetch(server, tmp_path)
    server.breaks = 0
    if reason == "changed":
        server.content, server.etag = CONTENT[::-1], '"2"'
    else:
        server.can_resume = False
    progress = Progress()
    assert fetch(server, tmp_path, progress).read_bytes() == server.content
    assert progress.total == len(CONTENT)


def test_a_part_that_is_whole_already_is_accepted(server, tmp_path):
    (tmp_path / "model.bin.part").write_bytes(CONTENT)
    (tmp_path / "model.bin.part.etag").write_text(server.etag)
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    fetch(server, tmp_path)
    server.ranges = []
    fetch(server, tmp_path)
    assert server.ranges == []


@pytest.mark.parametrize(
    ("status", "words"), [(404, "does not exist"), (403, "HF_TOKEN"), (503, "could not be fetched")]
)
def test_refusals_are_sentences(server, tmp_path, status, words):
    server.status = status
    with pytest.raises(ServerError, match=words):
        fetch(server, tmp_path)


def test_no_network_names_the_other_way(tmp_path):
    file = RemoteFile("model.bin", "http://127.0.0.1:9/model.bin", 10)
    with pytest.raises(ServerError, match="reclass models install"):
        install.fetch(file, tmp_path, Progress(), pause=lambda _: None)


def test_a_full_disk_is_noticed_before_the_first_byte(server, tmp_path):
    file = RemoteFile("model.bin", server.url, 10**18)
    with pytest.raises(ReclassError, match="GB are needed"):
        install.fetch(file, tmp_path, Progress())
    assert server.ranges == []
