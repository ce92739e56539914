"""A folder of damaged files of every format is scanned whole: each file ends, every sound one is decided."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from tests.library import Shell
from tests.torture.damage import cases, suffix_of
from tests.torture.test_damaged_files import SEED

KINDS = ("mp3 v2.3", "mp3 every tag", "flac", "vorbis", "opus", "aac tight", "wav info", "aiff", "wma", "wavpack")


def test_damaged_files_keep_no_other_from_being_decided(scanned: Path, shell: Shell, tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    for kind in KINDS:
        chance = random.Random(f"{SEED} folder {kind}")
        for number, (_, data) in enumerate(chance.sample(list(cases(kind, chance))[1:], 3)):
            (music / f"{KINDS.index(kind)} {number}{suffix_of(kind)}").write_bytes(data)
    good = [path for path in (scanned / "Grid Nine").rglob("*") if path.suffix in (".opus", ".wma")]
    for number, path in enumerate(good):
        shutil.copy(path, music / f"good {number}{path.suffix}")
    code = shell("scan", music, "--jobs", "2", "--stages", "1", "--dry-run", "--json")
    found = shell.by_name()
    assert found.keys() == {path.name for path in music.iterdir()}
    assert {one["outcome"] for one in found.values()} <= {"confident", "likely", "unsure", "skipped", "failed"}
    assert all(found[name]["outcome"] in ("confident", "likely", "unsure") for name in found if "good" in name)
    assert "failed" in {one["outcome"] for one in found.values()}
    assert code == 1, shell.err
