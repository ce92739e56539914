"""What `plex` does to a real server, from start to end: `python -m tools.plex_round_trip` starts one in Docker.

A Plex Media Server that nobody has claimed (the image plexinc/pms-docker) gets a library of synthesised music. Then
the commands run as a user runs them, and after each of them the library is compared with what it should hold. With
`--url` an existing server is taken that nobody misses: it needs one music library over the folder `--music`, and may
want a token (PLEX_TOKEN). Exit code 1 where a step is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from music_reclass.config import Secret
from music_reclass.errors import ReclassError
from music_reclass.extractors.audio.synthesis import ALBUMS, DEMO, make_library
from music_reclass.plex.http import Client, Server
from music_reclass.plex.library import wait_for_scan
from music_reclass.plex.model import Section
from music_reclass.utils.progress import Silent

IMAGE = "plexinc/pms-docker:latest"
SERVER_FOLDER = "/data/music"  # where the server has the music
START_SECONDS, SCAN_SECONDS = 300.0, 300.0
BEFORE, LATER = (ALBUMS[0], ALBUMS[2]), (DEMO[1],)  # MP3, FLAC, Ogg and M4A, which every Plex server reads

Runner = Callable[..., int]
State = dict[int, Any]


class Steps:
    """The steps so far, each printed when it is done."""

    def __init__(self) -> None:
        self.bad = 0

    def add(self, name: str, fine: bool, seen: object = "") -> None:
        """One more step, and whether it went as it should."""
        self.bad += not fine
        print(f"{'ok ' if fine else 'BAD'}  {name:<58} {seen}", flush=True)


def state_of(server: Server, section: Section) -> State:
    """Genres, styles, labels and locks of every track and album of the library, by number."""
    tracks = list(server.tracks(section))
    keys = [one.key for one in tracks] + sorted({one.album_key for one in tracks})
    return {
        item.key: ({name: frozenset(tags) for name, tags in item.tags.items() if tags}, item.locked)
        for item in server.items(keys).values()
    }


def round_trip(server: Server, music: Path, run: Runner, steps: Steps) -> None:
    """Run the commands, and compare after each what the server holds with what it should; `music` is empty before."""
    section = server.music()
    count = len(make_library(music, BEFORE))
    server.look_into(section, section.locations[0])
    steps.add("the library holds the music", _holds(server, section, count), f"{count} files")
    first = next(server.tracks(section))
    for words in (["scan", music, "-n"], ["plex", "check"], ["plex", "map", music], ["plex", "diff"]):
        steps.add(" ".join(map(str, words[:2])), run(*words) == 0)

    start = state_of(server, section)
    steps.add("plex selftest", run("plex", "selftest", first.key, "-y") == 0)
    steps.add("after the selftest everything is as before", state_of(server, section) == start)

    steps.add("plex sync", run("plex", "sync", "-y") == 0)
    synced = state_of(server, section)
    changed = sum(synced[key] != start.get(key) for key in synced)
    steps.add("after the sync the server holds new genres", changed > 0, f"{changed} of {len(synced)} items")
    run("plex", "sync", "-y")
    steps.add("a second sync changes nothing", state_of(server, section) == synced)

    server.look_into(section, section.locations[0])
    wait_for_scan(server, section, Silent())
    steps.add("what was written survives a scan of the folder", state_of(server, section) == synced)

    steps.add("plex restore", run("plex", "restore", "-y") == 0)
    steps.add("after the restore everything is as before", state_of(server, section) == start)

    new = make_library(music, LATER)
    steps.add("scan --sync-plex of a new album", run("scan", music, "-y", "--sync-plex") == 0)
    there = {Path(path).name for one in server.tracks(section) for path in one.files}
    steps.add("Plex holds the new album", {path.name for path in new} <= there)
    added = [tags for key, (tags, _) in state_of(server, section).items() if key not in start]
    steps.add("and its genres", any("genre" in tags for tags in added), f"{len(added)} items")


def _holds(server: Server, section: Section, count: int) -> bool:
    """Wait until the library lists so many tracks and is not scanned; whether it came to that."""
    deadline = server.client.clock() + SCAN_SECONDS
    while server.client.clock() < deadline:
        if wait_for_scan(server, section, Silent()) and sum(1 for _ in server.tracks(section)) >= count:
            return True
    return False


@contextmanager
def container(image: str, music: Path) -> Iterator[str]:
    """A server in Docker that nobody has claimed, with `music` as SERVER_FOLDER; its address."""
    name = f"reclass-plex-{os.getpid()}"
    words = ["docker", "run", "--detach", "--rm", "--name", name, "--network", "host", "--volume"]
    words += [f"{music}:{SERVER_FOLDER}:ro", "--env", "ALLOWED_NETWORKS=127.0.0.1/255.255.255.255", image]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    try:
        yield "http://127.0.0.1:32400"
    finally:
        subprocess.run(["docker", "logs", "--tail", "20", name], check=False)
        subprocess.run(["docker", "stop", name], check=False, stdout=subprocess.DEVNULL)


def connected(url: str, token: str, seconds: float) -> Server:
    """The server at an address, as soon as it answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Server(Client(url, Secret(token), log=print))
        except ReclassError:
            if time.monotonic() > deadline:
                raise
            time.sleep(3.0)


def make_section(server: Server, folder: str) -> None:
    """Give a new server a music library over one of its folders."""
    import requests

    wanted = {"name": "Music", "type": "artist", "agent": "tv.plex.agents.music", "scanner": "Plex Music"}
    query = urlencode({**wanted, "language": "en-US", "location": folder})
    for _ in range(20):  # a server that has just started refuses for a while
        answer = requests.post(f"{server.client.url}/library/sections?{query}", timeout=30)
        if answer.ok:
            return
        time.sleep(3.0)
    answer.raise_for_status()


def runner(folder: Path, url: str, token: str) -> Runner:
    """Runs `reclass` as a user would, with a library and a configuration of its own; gives its exit code."""
    settings = {
        "DB": folder / "library.sqlite3",
        "CONFIG": folder / "config.toml",
        "PLEX_URL": url,
        "PLEX_TOKEN": token,
    }
    environment = {**os.environ, **{f"RECLASS_{name}": str(value) for name, value in settings.items()}}

    def run(*words: object) -> int:
        print(f"\n$ reclass {' '.join(map(str, words))}", flush=True)
        call = [sys.executable, "-m", "music_reclass", *map(str, words)]
        return subprocess.run(call, env=environment, check=False).returncode

    return run


def main(words: Sequence[str] | None = None, run: Runner | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="plex_round_trip", description=__doc__.split("\n")[0])
    parser.add_argument("--image", default=IMAGE)
    parser.add_argument("--url", default="", help="a running server instead of one in Docker")
    parser.add_argument("--music", type=Path, help="with --url: the empty folder here that is its library's")
    given = parser.parse_args(words)
    steps = Steps()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        music = given.music or folder / "music"
        music.mkdir(exist_ok=True)
        if any(music.iterdir()):
            parser.error(f"{music} is not empty")
        token = os.environ.get("PLEX_TOKEN", "")
        if given.url:
            server = connected(given.url, token, 60.0)
            round_trip(server, music, run or runner(folder, given.url, token), steps)
            for artist, *_ in (*BEFORE, *LATER):
                shutil.rmtree(music / artist)
        else:
            with container(given.image, music) as url:
                server = connected(url, "", START_SECONDS)
                make_section(server, SERVER_FOLDER)
                print(f"Plex Media Server {server.client.version}", flush=True)
                round_trip(server, music, run or runner(folder, url, ""), steps)
    print(f"\n{'all as it should be' if not steps.bad else f'{steps.bad} steps are not as they should be'}")
    return 1 if steps.bad else 0


if __name__ == "__main__":
    sys.exit(main())
