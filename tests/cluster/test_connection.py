"""What keeps a cluster from being joined is a sentence with a cure; Ray changes nothing here that it should not."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from music_reclass.cluster import connection
from music_reclass.cluster.connection import LONGEST_FOLDER, connected, listed
from music_reclass.errors import MissingExtra, ReclassError, UsageError


class Ray(SimpleNamespace):
    """A Ray that starts as it is told to, prints, and takes SIGTERM for itself."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(error=error, options={}, ended=0)
        self._private = SimpleNamespace(worker=SimpleNamespace(_worker_logs_enabled=True))

    def init(self, **options: Any) -> None:
        self.options = options
        os.write(1, b"Ray is here\n")
        os.write(2, b"Ray is here\n")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.error:
            raise self.error

    def shutdown(self) -> None:
        self.ended += 1


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ray]:
    fake = Ray()
    monkeypatch.setattr(connection, "require", lambda module, extra: fake)
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    yield fake
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def address() -> Iterator[str]:
    """Something that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(connection, "_folder", lambda: pytest.fail("a folder that nobody removes"))
    with pytest.raises(MissingExtra, match=r"pip install 'music_reclass\[cluster\]'"), connected("local", 1):
        pass


@pytest.mark.parametrize("wrong", ["", ":6379", "host:", "host:port", "host:99999"])
def test_what_is_no_address_is_called_that(wrong: str, ray: Ray) -> None:
    with pytest.raises(UsageError, match="no address"), connected(wrong, 1):
        pass


def test_an_address_of_rays_client_is_refused(ray: Ray) -> None:
    with pytest.raises(UsageError, match=r"ray start --address"), connected("ray://head:10001", 1):
        pass


def test_an_address_where_nothing_answers_is_named_before_ray_is_loaded(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(connection, "require", lambda *_: pytest.fail("Ray was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ReclassError, match=f"No Ray answers at 127.0.0.1:{port}.*ray start --head"):
        connected(f"127.0.0.1:{port}", 1).__enter__()


def test_a_host_without_a_port_has_rays(monkeypatch: pytest.MonkeyPatch, ray: Ray) -> None:
    asked = []

    def answer(where: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(where)
        return socket.socket()

    monkeypatch.setattr(connection.socket, "create_connection", answer)
    with connected("rtx", 1):
        pass
    assert (asked, ray.options["address"]) == ([("rtx", 6379)], "rtx:6379")


def test_other_versions_are_named(ray: Ray, address: str) -> None:
    ray.error = RuntimeError(
        "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.10.12\nThis process on node "
        "192.0.2.1 was started with:\n    Ray: 2.60.0\n    Python: 3.10.15\n"
    )
    with pytest.raises(ReclassError, match=r"Ray 2.60.0 on Python 3.10.12, .*Ray 2.60.0 on Python 3.10.15"):
        connected(address, 1).__enter__()


@pytest.mark.parametrize(
    ("where", "said", "words"),
    [
        ("auto", "Could not find any running Ray instance.", "ray start --head makes it one"),
        ("", "Can't find a node on this machine", "ray start --address="),
        ("", "Invalid or missing token", "auth_token"),
        ("local", "no space", "works without --ray"),
    ],
)
def test_what_ray_says_comes_with_a_cure(ray: Ray, address: str, where: str, said: str, words: str) -> None:
    ray.error = ConnectionError(said + "\nand more")
    with pytest.raises(ReclassError, match=words) as caught:
        connected(where or address, 1).__enter__()
    assert said in str(caught.value)
    assert "and more" not in str(caught.value)
    assert ray.ended == 1, "what was half started is ended"


def test_a_local_cluster_is_small_silent_and_leaves_nothing(
    ray: Ray, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    stop = lambda number, frame: None  # noqa: E731
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with connected("local", 3) as cluster:
            assert signal.getsignal(signal.SIGTERM) is stop, "an orderly stop stays ours"
            folder = Path(ray.options["_temp_dir"])
            assert folder.is_dir()
            assert cluster.ray is ray
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not folder.exists()
    assert (ray.options["num_cpus"], ray.options["include_dashboard"], ray.options["log_to_driver"]) == (
        3,
        False,
        False,
    )
    assert not ray._private.worker._worker_logs_enabled
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64, "else Ray writes one into ~/.ray"
    assert capfd.readouterr() == ("", "")
    assert ray.ended == 1


def test_the_folder_of_sockets_is_short_however_long_that_of_temporary_files_is(
    ray: Ray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(connection.tempfile, "tempdir", str(long))
    with connected("local", 1):
        assert len(ray.options["_temp_dir"]) <= LONGEST_FOLDER


def node(number: str, name: str, host: str = "", **resources: float) -> dict[str, Any]:
    return {
        "NodeID": number, "NodeName": name, "NodeManagerHostname": host or name,
        "NodeManagerAddress": f"192.0.2.{number[0]}",
        "Resources": {"CPU": 4.0, "object_store_memory": 1e8, **resources},
    }  # fmt: skip


def test_nodes_are_called_by_name_then_host_and_told_apart() -> None:
    first, second, third = listed(
        [
            node("3abcdefgh", "192.0.2.3", "rtx", GPU=2.0, **{"accelerator_type:RTX": 1.0}),
            node("1abcdefgh", "jetson", "tegra-ubuntu"),
            node("2abcdefgh", "192.0.2.2", "rtx"),
        ]
    )
    assert [one.name for one in (first, second, third)] == ["jetson", "rtx-2abcde", "rtx-3abcde"]
    assert (third.gpus, third.card, third.cpus, third.objects) == (2, "RTX", 4, 100_000_000)
    assert {"jetson", "tegra-ubuntu", "192.0.2.1"} <= set(first.names)
    assert {"rtx", "192.0.2.2", "rtx-2abcde"} <= set(second.names)
