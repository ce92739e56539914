"""A library database with flipped bytes: a command does its work or says that the database is damaged; never a bug."""

from __future__ import annotations

import random
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from music_reclass.cli.main import run
from tests.library import copied

PLACES = 40  # of each command
ENDINGS = {0, 1, 3, 4}


@pytest.fixture(scope="module")
def sound(demo_library: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A folder that a scan wrote to, and the library database of it."""
    base = tmp_path_factory.mktemp("damaged")
    music = copied(demo_library / "Ida Quill", base / "Music")
    db = base / "library.sqlite3"
    assert run(["scan", str(music), "-y", "-j", "1", "--on-existing", "replace", "--db", str(db)]) == 0
    with closing(sqlite3.connect(db)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return music, db.read_bytes()


@pytest.mark.parametrize(
    "words", ["scan {music} -n -j 1", "status", "report", "history 1", "undo 1 -n"], ids=lambda words: words.split()[0]
)
def test_flipped_bytes_are_damage_and_no_bug(
    words: str, sound: tuple[Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    music, content = sound
    texts = [match.span() for match in re.finditer(rb"[\x20-\x7e]{12,}", content)]  # where flips are met by our code
    chance = random.Random(words)
    told = 0
    for number in range(PLACES):
        broken = bytearray(content)
        for _ in range(1 if number % 2 else 10):
            start, end = chance.choice([(0, len(broken)), (0, 16384), *[chance.choice(texts)] * 3])
            broken[chance.randrange(start, end)] ^= chance.randrange(1, 256)
        db = tmp_path / f"{number}.sqlite3"
        db.write_bytes(broken)
        code = run([*words.format(music=music).split(), "--db", str(db)])
        said = capsys.readouterr().err
        assert code in ENDINGS, (number, code, said)
        if code == 4:
            told += 1
            assert re.search("damaged|newer release|cannot be written|refused", said), said
    assert told  # some of it was noticed


def test_the_sentence_names_the_newest_backup_and_restore_brings_it_back(
    sound: tuple[Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, content = sound
    db = tmp_path / "library.sqlite3"
    db.write_bytes(content)
    assert run(["db", "backup", "--db", str(db)]) == 0
    assert run(["db", "check", "--db", str(db)]) == 0
    db.write_bytes(content[:16384] + bytes(len(content) - 16384))
    Path(f"{db}-wal").write_bytes(b"of the damaged one")
    capsys.readouterr()
    assert run(["status", "--db", str(db)]) == 4
    said = capsys.readouterr().err
    (backup,) = tmp_path.glob("*.backup")
    assert "is damaged" in said
    assert "reclass db restore" in said
    assert backup.name in said
    assert run(["db", "restore", "--db", str(db)]) == 0  # nobody said yes
    assert run(["db", "restore", "-n", "-y", "--db", str(db)]) == 0
    assert run(["db", "check", "--db", str(db)]) == 4
    assert run(["db", "restore", "-y", "--db", str(db)]) == 0
    assert run(["db", "check", "--db", str(db)]) == 0
    assert run(["undo", "1", "-n", "--db", str(db)]) == 0
    assert len(list(tmp_path.glob("library.sqlite3.before-restore.*"))) == 1
