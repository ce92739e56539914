"""Fixtures: a running fake server, and a library beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.plex_server import FakePlex
from tests.plex.bench import Bench


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is reached directly, whatever this machine is told about proxies."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def fake() -> Iterator[FakePlex]:
    with FakePlex() as server:
        yield server


@pytest.fixture
def bench(tmp_path: Path, fake: FakePlex) -> Bench:
    return Bench.at(tmp_path, fake)
