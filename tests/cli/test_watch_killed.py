"""A watch that is killed again and again while music arrives has tagged all of it in the end, and nothing twice."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from music_reclass.tagging.read import read_tags
from tests.library import Shell

FLAGS = ("--yes", "--settle", "0.5", "--stages", "1", "--on-existing", "replace", "--jobs", "1")
TRACKS_OF_ALBUM = 5


def started(incoming: Path, shell: Shell) -> subprocess.Popen[bytes]:
    log = shell.db.with_suffix(".log").open("ab")
    words = [sys.executable, "-m", "music_reclass", "watch", str(incoming), *FLAGS, "--db", str(shell.db)]
    return subprocess.Popen(words, stdout=log, stderr=log)


def written(db: Path) -> int:
    """How many files stand written."""
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as sql:
        return int(sql.execute("SELECT count(DISTINCT path) FROM change WHERE state = 'written'").fetchone()[0])


def arrive_and_kill(album: list[Path], incoming: Path, shell: Shell, *, files: int, kills: int) -> None:
    """Files arrive at random moments, in pieces and under names of unfinished ones too, while watches are killed."""
    chance = random.Random(15)
    names = [incoming / f"Album {n // TRACKS_OF_ALBUM}" / f"{n % TRACKS_OF_ALBUM}" for n in range(files)]
    chance.shuffle(names)
    deaths = sorted(chance.sample(range(1, files), kills))
    process = started(incoming, shell)
    try:
        for number, name in enumerate(names):
            source = chance.choice(album)
            name.parent.mkdir(exist_ok=True)
            target = name.with_suffix(source.suffix)
            unfinished = chance.choice([target, target.with_name(target.name + ".part")])
            content = source.read_bytes()
            with unfinished.open("wb") as file:
                file.write(content[: len(content) // 2])
                file.flush()
                if chance.random() < 0.1:
                    time.sleep(0.1)
                file.write(content[len(content) // 2 :])
            unfinished.rename(target)
            if number in deaths:
                time.sleep(chance.uniform(0.5, 3.0))
                process.kill()
                process.wait()
                process = started(incoming, shell)
        deadline = time.monotonic() + 120 + files
        while written(shell.db) < files and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def check(incoming: Path, shell: Shell, files: int) -> None:
    log = shell.db.with_suffix(".log").read_text()
    found = [path for path in incoming.rglob("*") if path.is_file()]
    assert len(found) == files, "a temporary file is left"
    assert written(shell.db) == files, log
    assert all((read_tags(path).genres or ("",))[0] for path in found)
    with sqlite3.connect(shell.db) as sql:
        twice = "SELECT path FROM change WHERE state = 'written' GROUP BY path HAVING count(*) > 1"
        assert sql.execute(twice).fetchall() == []
        assert sql.execute("SELECT count(*) FROM change WHERE state IN ('planned', 'staged')").fetchone() == (0,)
    assert "Traceback" not in log
    assert shell("scan", incoming, "--dry-run", "--json", *FLAGS[3:]) == 0
    assert {one["action"] for one in shell.objects()} == {"keep"}


def run(scanned: Path, shell: Shell, incoming: Path, *, files: int, kills: int) -> None:
    pytest.importorskip("watchfiles")
    incoming.mkdir()
    album = [path for path in (scanned / "Grid Nine").rglob("*") if path.suffix in (".opus", ".wma")]
    arrive_and_kill(album, incoming, shell, files=files, kills=kills)
    check(incoming, shell, files)


def test_all_files_that_arrive_while_it_is_killed_are_tagged_in_the_end(
    scanned: Path, shell: Shell, tmp_path: Path
) -> None:
    run(scanned, shell, tmp_path / "incoming", files=60, kills=2)


@pytest.mark.slow
def test_a_thousand_files_that_arrive_while_it_is_killed_are_tagged_in_the_end(
    scanned: Path, shell: Shell, tmp_path: Path
) -> None:
    run(scanned, shell, tmp_path / "incoming", files=1000, kills=20)
