"""How long the server takes for each page and filter of a large library: `python benchmarks/web.py LIBRARY.sqlite3`.

Median and worst of some requests in this process (no network, no browser), the memory before and after, and the size of
the map. The library is one that `benchmarks/scale.py` made; a copy of it is opened.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from fastapi.testclient import TestClient

from music_reclass.config import load
from music_reclass.web.access import Access
from music_reclass.web.app import application
from music_reclass.web.work import Work

TOKEN = "benchmark-token"
REQUESTS = (
    "/", "/review", "/parts/album/{track}", "/library", "/library?part=true&outcome=unsure",
    "/library?part=true&q=artist0012", "/library?part=true&q=no-such-words", "/library?part=true&genre={genre}",
    "/library?part=true&relation=conflict", "/library?part=true&after=290000", "/tracks/{track}", "/runs",
    "/api/v1/tracks?limit=200", "/api/v1/tracks?limit=200&outcome=likely&after=150000", "/api/v1/tracks/{track}",
    "/api/v1/albums", "/api/v1/albums/{track}", "/api/v1/genres", "/api/v1/stats", "/api/v1/runs", "/map",
    "/api/v1/map",
)  # fmt: skip


def memory() -> float:
    """Resident memory of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    """Measures and prints one line a request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path)
    parser.add_argument("--repeat", type=int, default=9)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.sqlite3"
        shutil.copyfile(chosen.library, path)
        work = Work(replace(load({}), db=path))
        began = time.process_time()
        snapshot = work.current.get()
        print(f"{len(snapshot):,} tracks read in {time.process_time() - began:.1f} s of CPU, {memory():.0f} MB")
        client = TestClient(application(work, Access(TOKEN)), base_url="http://127.0.0.1")
        client.headers["authorization"] = f"Bearer {TOKEN}"
        began = time.process_time()
        while client.get("/api/v1/map").status_code == 202:
            time.sleep(0.2)
        print(f"the map is made in {time.process_time() - began:.1f} s of CPU, {memory():.0f} MB")
        track = int(snapshot.ids[len(snapshot) // 2])
        genre = next(iter(work.taxonomy.parents))
        for request in REQUESTS:
            url = request.format(track=track, genre=genre)
            seconds, work_seconds = [], []
            for _ in range(chosen.repeat):
                began, before = time.perf_counter(), time.process_time()
                answer = client.get(url)
                seconds.append(time.perf_counter() - began)
                work_seconds.append(time.process_time() - before)
                assert answer.status_code == 200, (url, answer.status_code, answer.text[:200])
            size = int(answer.headers.get("content-length", len(answer.content)))
            middle, worst, busy = (
                value * 1000 for value in (statistics.median(seconds), max(seconds), statistics.median(work_seconds))
            )
            print(
                f"{url:58} median {middle:6.1f} ms ({busy:6.1f} of CPU)  worst {worst:7.1f}  {size / 1000:6.1f} kB"
                f"  {memory():4.0f} MB"
            )


if __name__ == "__main__":
    main()
