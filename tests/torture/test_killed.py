"""kill -9 at any moment of scan, apply, undo, sync, watch: the same command again ends where an undisturbed one does.

A watch ends when it is asked to, once all is written, and leaves what a scan leaves. The long form is 50 kills of each
(`--slow`); a number of one's own: `RECLASS_KILLS=10 pytest --slow -k kills`, another seed:
`RECLASS_SEED=2`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from music_reclass.extractors.audio.synthesis import encode, song
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.torture.killing import Bench, killed_somewhere

SEED = os.environ.get("RECLASS_SEED", "1")
KILLS = int(os.environ.get("RECLASS_KILLS", "50"))
OPERATIONS = ("scan", "apply", "undo", "sync", "watch")
TUNES = (("01.mp3", None), ("02.flac", "Other"), ("03.m4a", "genre"), ("04.opus", None), ("05.wav", "Unknown"))
FLAGS = ["--yes", "--jobs", "1", "--stages", "1", "--on-existing", "replace"]
WORDS = {
    "scan": ["scan", "{music}", "--quiet", *FLAGS],
    "apply": ["apply", "--yes", "--on-existing", "replace"],
    "undo": ["undo", "--yes"],
    "sync": ["plex", "sync", "--yes"],
    "watch": ["watch", "{music}", "--settle", "0.1", *FLAGS],
}


def words_of(operation: str, bench: Bench) -> list[str]:
    return [word.format(music=bench.music) for word in WORDS[operation]]


def made(root: Path, environment: dict[str, str]) -> Bench:
    """A bench with five tunes in five formats and no library yet."""
    bench = Bench(root, environment)
    folder = bench.music / "Artist" / "Album"
    folder.mkdir(parents=True)
    bench.db.parent.mkdir()
    for seed, (name, genre) in enumerate(TUNES):
        metadata = {"title": name, "artist": "Artist", "album": "Album", **({"genre": genre} if genre else {})}
        encode(folder / name, song(seed, 6.0), metadata=metadata)
    bench.save("original")
    return bench


def fill(fake: FakePlex, bench: Bench) -> None:
    """A server that has the same files, and genres of its own."""
    fake.things.clear()
    fake.numbered = 0
    fake.locations = [str(bench.music)]
    album = fake.add("album", "Album", fake.add("artist", "Artist").key)
    for name, genre in TUNES:
        file = str(bench.music / "Artist" / "Album" / name)
        fake.add("track", name, album.key, files=[file], genres=["Folk"] if genre else [], seconds=6.0)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakePlex]:
    with FakePlex() as server:
        yield server


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, fake: FakePlex) -> Bench:
    """A bench, saved as it is right before each operation under its name; `wanted` is what undisturbed runs left."""
    root = tmp_path_factory.mktemp("killed")
    bench = made(
        root,
        {
            "RECLASS_PLEX_URL": fake.url, "RECLASS_PLEX_TOKEN": TOKEN, "RECLASS_PLEX_RATE": "0",
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "RECLASS_CONFIG": str(root / "none.toml"),
        },
    )  # fmt: skip
    bench.save("scan")
    undisturbed("scan", bench, fake)
    bench.save("undo")
    bench.load("scan")
    bench.save("watch")
    undisturbed("watch", bench, fake)
    for name in ("files", "library", "names"):
        assert bench.wanted["watch"][name] == bench.wanted["scan"][name], name
    bench.load("undo")
    undisturbed("undo", bench, fake)
    bench.load("scan")
    assert bench.run([*words_of("scan", bench), "--dry-run"])[0] == 0, bench.said()
    bench.save("apply")
    bench.save("sync")
    undisturbed("apply", bench, fake)
    bench.load("sync")
    undisturbed("sync", bench, fake)
    return bench


def undisturbed(operation: str, bench: Bench, fake: FakePlex) -> None:
    """Run an operation and keep what is there afterwards, its number of events, and its seconds."""
    fill(fake, bench)
    code, events, seconds = bench.run(words_of(operation, bench), until=end_of(operation, bench))
    assert code == 0 or (operation == "watch" and code == 130), bench.said()
    bench.wanted[operation] = {"events": events, "seconds": seconds, **state(bench, fake)}


def end_of(operation: str, bench: Bench) -> Callable[[], bool] | None:
    """When a command is to be asked to end, None for one that ends by itself: a watch once it has written as much as
    a scan writes."""
    if operation != "watch":
        return None
    count = len(bench.wanted["scan"]["library"]["standing"])
    return lambda: bench.has_written(count)


def state(bench: Bench, fake: FakePlex) -> dict[str, Any]:
    """All there is when nothing is going on."""
    return {"files": bench.files(), "library": bench.library(), "names": bench.names(), "server": fake.state()}


def assert_reached(bench: Bench, fake: FakePlex, wanted: dict[str, Any], moment: str) -> None:
    """Everything is as an undisturbed run leaves it."""
    found = state(bench, fake)
    assert found["files"] == wanted["files"], moment
    for name, rows in wanted["library"].items():
        assert found["library"][name] == rows, (moment, name)
    assert found["names"] == wanted["names"], moment
    assert found["server"] == wanted["server"], moment
    bench.knows_its_files()


def kills(operation: str, bench: Bench, fake: FakePlex, numbers: range) -> None:
    """Kill the operation once for each number, and let the same command go on."""
    words, wanted, until = words_of(operation, bench), bench.wanted[operation], end_of(operation, bench)
    bench.load("scan")
    original = bench.files()
    for number in numbers:

        def again() -> None:
            bench.load(operation)
            fill(fake, bench)

        again()
        blank = fake.state()
        seed = f"{SEED} {operation} {number}"
        how = killed_somewhere(
            bench, words, seed, events=wanted["events"], seconds=wanted["seconds"], again=again, until=until
        )
        moment = f"RECLASS_SEED={SEED}, {operation} number {number}, killed {how}"
        code, _, _ = bench.run(words, until=until)
        # A killed undo may have undone all; a watch that is asked to end while its run is closed says so.
        assert code in {"undo": (0, 3), "watch": (0, 130)}.get(operation, (0,)), (moment, bench.said())
        assert_reached(bench, fake, wanted, moment)
        while (code := bench.run(["undo", "--yes"])[0]) == 0:
            pass
        assert code == 3, (moment, bench.said())
        assert bench.files() == original, moment
        assert fake.state() == blank, moment
        print(f"{moment}: ended as an undisturbed run", flush=True)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_command_that_was_killed_ends_as_an_undisturbed_one(operation: str, bench: Bench, fake: FakePlex) -> None:
    kills(operation, bench, fake, range(1))


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_kills_at_random_moments(operation: str, bench: Bench, fake: FakePlex) -> None:
    kills(operation, bench, fake, range(1, 1 + KILLS))
