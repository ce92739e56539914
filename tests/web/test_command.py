"""`reclass serve` prints its link and opens itself to others only with a token."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from music_reclass.web.command import _in_link
from tests.library import Shell


def test_other_machines_are_let_in_with_a_token_only(shell: Shell) -> None:
    assert shell("serve", "--bind", "0.0.0.0", "--no-browser") == 2
    assert "--token" in shell.err
    assert shell("serve", "--bind", "192.168.1.5", "--token", "short", "--no-browser") == 2


def test_a_port_that_is_taken_is_said(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert shell("serve", "--port", str(taken.getsockname()[1]), "--no-browser") == 2
    assert "--port" in shell.err


def test_without_the_packages_the_extra_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert shell("serve", "--no-browser") == 2
    assert "music_reclass[web]" in shell.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_answers_at_its_link_and_ends_in_order(scanned: Path, shell: Shell, number: int) -> None:
    line = [sys.executable, "-m", "music_reclass", "serve", "--port", "0", "--no-browser", "--db", str(shell.db)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        link = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=\S{20,}", link)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"Library" in opener.open(link, timeout=20).read()
        server.send_signal(number)
        _, err = server.communicate(timeout=30)
    assert "Traceback" not in err
    assert "The next one" in err


def test_a_token_with_signs_that_mean_something_in_a_link_opens_it() -> None:
    token = "a+b/c==&d #%41"
    assert parse_qs(f"token={_in_link(token)}") == {"token": [token]}
