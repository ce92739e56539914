"""Asking for help loads nothing heavy."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from music_reclass.cli.main import cli
from music_reclass.extractors.audio.synthesis import encode, song

HEAVY = {
    "numpy", "scipy", "torch", "transformers", "sklearn", "xgboost", "librosa", "numba", "mutagen", "plexapi",
    "soundfile", "av", "soxr", "matplotlib", "rich", "ray", "fastapi", "requests", "sqlite3",
}  # fmt: skip
CHILD = """
import json, sys
from music_reclass.cli.main import run
code = run(json.loads(sys.argv[1]))
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of every command and group below `group`."""
    found, context = [path], click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found += commands(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
    return found


def loaded_by(*words: str) -> set[str]:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(list(words))], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in json.loads(child.stderr.splitlines()[-1])}


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_load_nothing_heavy(words: list[str]) -> None:
    assert not loaded_by(*words) & HEAVY


def test_the_help_of_no_command_loads_anything_heavy() -> None:
    code = (
        "import json, sys\nfrom music_reclass.cli.main import run\n"
        "for words in json.loads(sys.argv[1]): assert run([*words, '--help']) == 0, words\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands(cli))], capture_output=True, text=True, check=True
    )
    assert not {name.split(".")[0] for name in json.loads(child.stderr.splitlines()[-1])} & HEAVY


def test_the_list_of_commands_imports_no_command_and_a_command_no_other() -> None:
    code = (
        "import sys\nfrom music_reclass.cli.main import run\nrun(sys.argv[1:])\n"
        "print(*(name for name in sys.modules if name.startswith('music_reclass.cli.')), file=sys.stderr)\n"
    )
    frame = {"main", "output", "options"}
    for words, more in ((["--help"], set()), (["undo", "--help"], {"undo"}), (["export", "--help"], {"library"})):
        child = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert {name.split(".")[-1] for name in child.stderr.split()} <= frame | more


def test_a_scan_needs_neither_scipy_nor_what_it_does_not_use(tmp_path: Path) -> None:
    encode(tmp_path / "a.wav", song(seed=1, seconds=6.0))
    code = (
        "import json, os, sys\nfrom music_reclass.cli.main import run\n"
        "from music_reclass.classification import reading\n"
        "from music_reclass.domain import Track\nfrom music_reclass.extractors.registry import extractor\n"
        "folder = sys.argv[1]\nwords = ['--db', folder + '/l.sqlite3', '--dry-run', '--stages', '1']\n"
        "if __name__ == '__main__': assert run(['scan', folder, *words]) == 0\n"
        "there = os.stat(folder + '/a.wav')\n"
        "track = Track(folder + '/a.wav', there.st_size, there.st_mtime_ns)\n"
        "read = reading.read_file((track, ()), [extractor('fma518', 'mid30').kind])\n"
        "assert read.vector is not None, read.error\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(child.stderr.splitlines()[-1])}
    assert not loaded & (HEAVY - {"numpy", "sqlite3", "soundfile", "soxr", "av", "rich", "mutagen"})


def test_the_shipped_stages_load_without_a_generator_of_random_numbers() -> None:
    code = (
        "import sys; from music_reclass.models.bundle import embedded; embedded(); print('numpy.random' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert child.stdout == "False\n"
