"""`calibrate` and `audit-exits` look at a library beside a scan."""

from pathlib import Path

import pytest

from music_reclass.features.database import writing_lease
from tests.library import Shell


@pytest.mark.parametrize(
    "words",
    [
        ["calibrate"],
        ["calibrate", "--from-library", "--label-free", "--dry-run"],
        ["calibrate", "--forget", "--dry-run"],
        ["audit-exits", "--dry-run"],
    ],
)
def test_what_only_looks_works_while_a_scan_holds_the_library(words: list[str], scanned: Path, shell: Shell) -> None:
    shell("scan", scanned / "Grid Nine", "--dry-run")
    with writing_lease(shell.db, "scan"):  # another open file: flock knows no difference from another process
        code = shell(*words)
        assert "is using this library" not in shell.err
        assert code in (0, 3)  # 3: nothing has exited early yet
        assert shell("calibrate", "--forget") == 4
