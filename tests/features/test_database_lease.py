"""Two runs never write one library at the same time."""

import subprocess
import sys
from pathlib import Path

import pytest

from music_reclass.errors import DatabaseError
from music_reclass.features.database import writing_lease


def test_the_second_run_is_told_who_holds_the_library(tmp_path: Path) -> None:
    database = tmp_path / "library.sqlite3"
    with (
        writing_lease(database, "scan"),
        pytest.raises(DatabaseError, match=r"reclass scan \(process \d+ on .*\) is using this library"),
        writing_lease(database, "undo"),
    ):
        pass
    with writing_lease(database, "undo"):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    database = tmp_path / "library.sqlite3"
    code = (
        "import os,signal,sys,pathlib\n"
        "from music_reclass.features.database import writing_lease\n"
        "with writing_lease(pathlib.Path(sys.argv[1]), 'scan'): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=False)
    with writing_lease(database, "scan"):
        pass
