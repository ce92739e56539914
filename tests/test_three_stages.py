"""518 features, then MERT, then OpenJMLA, through the real scan: whatever ends it, no vector is computed twice."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from music_reclass.classification import extract
from music_reclass.config import Settings
from music_reclass.extractors import jmla, memory, mert
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.bundle import save_cascade
from music_reclass.models.dataset import fma518
from music_reclass.training.extraction import Extraction, extract_files, extract_tracks
from music_reclass.utils import lazy
from music_reclass.utils.progress import StopRequest
from tests.extractors import small_models
from tests.heads import ladder_of_heads
from tests.library import Shell

COUNT = 9


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nine tunes, small MERT and OpenJMLA with random weights, a cascade of heads fitted on their
    vectors, and a library in which the first stage has read everything."""
    folder = tmp_path_factory.mktemp("three")
    with pytest.MonkeyPatch.context() as patch:
        small(patch, folder)
        kinds = [fma518("mid30"), small_models.small_mert().kind, small_models.small_jmla().kind]
        (folder / "music").mkdir()
        paths = [str(folder / "music" / f"{number}.wav") for number in range(COUNT)]
        for number, path in enumerate(paths):
            encode(Path(path), song(seed=number, seconds=5.2))
        database = Database(folder / "training.sqlite3")
        settings = Settings(jobs=1, device="cpu", precision="fp32")
        extract_files(database, paths, kinds[:1], Extraction(settings, StopRequest()))
        tracks = sorted(Library(database).paths(range(COUNT + 1)))
        with sqlite3.connect(folder / "read.sqlite3") as copy:
            database.connection.backup(copy)
        for kind in kinds[1:]:
            extract_tracks(database, tracks, [kind], Extraction(settings, StopRequest()))
        save_cascade(ladder_of_heads(Library(database), tracks, kinds), folder / "cascade")
    return folder


def small(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("RECLASS_MODELS", str(folder / "models"))
    patch.setattr(mert, "BASE", small_models.VARIANT)
    patch.setattr(jmla, "Jmla", small_models.SmallJmla)


@pytest.fixture
def ready(prepared: Path, monkeypatch: pytest.MonkeyPatch, shell: Shell) -> Path:
    """The library as the first stage has left it, in the shell's database; every vector is stored as it comes."""
    small(monkeypatch, prepared)
    monkeypatch.setattr(extract, "SAVE_SECONDS", 0.0)
    shutil.copyfile(prepared / "read.sqlite3", shell.db)
    return prepared


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many vectors the networks have computed, by kind."""
    count: Counter[str] = Counter()
    for owner in (mert.Mert, jmla.Jmla):

        def pool(self: Any, rows: Any, original: Any = owner.pool) -> Any:
            count[self.kind.name] += 1
            return original(self, rows)

        monkeypatch.setattr(owner, "pool", pool)
    return count


def words(folder: Path) -> list[str]:
    settings = ["--bundle", str(folder / "cascade"), "--device", "cpu", "--precision", "fp32", "--jobs", "1"]
    return ["scan", str(folder / "music"), "--dry-run", "--json", *settings]


def stored(db: Path) -> dict[str, list[tuple[int, bytes]]]:
    """The stored vectors of the later stages, in the order of their writing, by kind."""
    found: dict[str, list[tuple[int, bytes]]] = {"mert": [], "jmla": []}
    with sqlite3.connect(db) as sql:
        for kind, track, data in sql.execute("SELECT kind, track_id, data FROM vector ORDER BY rowid"):
            found.setdefault(kind.split("/")[0], []).append((track, data))
    return found


def the_same(some: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether all is alike but for the last digits of probabilities, which depend on who is voted for together."""
    for name, item in others.items():
        votes, wanted = some[name].pop("votes"), item.pop("votes")
        assert votes.keys() == wanted.keys()
        assert all(votes[stage] == pytest.approx(wanted[stage], abs=1e-5) for stage in wanted)
        assert some[name].pop("confidence") == pytest.approx(item.pop("confidence"), abs=1e-5)
    return some == others


@pytest.fixture
def whole(ready: Path, shell: Shell, computed: Counter[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers and the vectors of a run that nobody disturbs; the library is then as it was before."""
    assert shell(*words(ready)) == 0
    answers, vectors = shell.by_name(), stored(shell.db)
    assert 0 < len(vectors["jmla"]) < len(vectors["mert"]) < COUNT
    assert computed == {kind: len(vectors[kind]) for kind in ("mert", "jmla")}
    computed.clear()
    shutil.copyfile(ready / "read.sqlite3", shell.db)
    return answers, vectors


@pytest.mark.parametrize("moment", ["within the second stage", "between the stages", "within the third stage"])
def test_a_run_that_is_interrupted_goes_on_without_computing_a_vector_twice(
    moment: str, whole: tuple[dict[str, Any], dict[str, Any]], ready: Path, shell: Shell, computed: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    answers, vectors = whole
    seconds = len(vectors["mert"])
    last = {"within the second stage": 1, "between the stages": seconds, "within the third stage": seconds + 1}[moment]
    put = extract._WriteBuffer.put

    def struck(self: Any, *what: Any) -> None:
        put(self, *what)
        if sum(map(len, stored(shell.db).values())) - COUNT == last:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(extract._WriteBuffer, "put", struck)
        assert shell(*words(ready)) == 130
    assert "the same command goes on from here" in shell.err
    assert len(shell.objects()) == COUNT
    assert all(item["outcome"] in {"confident", "likely", "unsure"} for item in shell.objects())
    halfway = stored(shell.db)
    assert last <= sum(map(len, halfway.values())) - COUNT < sum(map(len, vectors.values())) - COUNT
    assert shell(*words(ready)) == 0
    assert computed == {kind: len(vectors[kind]) for kind in ("mert", "jmla")}
    assert {kind: dict(rows) for kind, rows in stored(shell.db).items()} == {k: dict(r) for k, r in vectors.items()}
    assert the_same(shell.by_name(), answers)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from music_reclass.classification import extract
from music_reclass.cli.main import run
from music_reclass.extractors import jmla, mert
from tests.extractors import small_models
mert.BASE, jmla.Jmla, extract.SAVE_SECONDS = small_models.VARIANT, small_models.SmallJmla, 0.0
put, left = extract._WriteBuffer.put, [int(sys.argv[2])]
def struck(self, *what):
    put(self, *what)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
extract._WriteBuffer.put = struck
sys.exit(run(sys.argv[3:]))
"""


def test_a_run_that_is_killed_goes_on_from_the_last_vector_that_was_stored(
    whole: tuple[dict[str, Any], dict[str, Any]], ready: Path, shell: Shell, computed: Counter[str]
) -> None:
    answers, vectors = whole
    last = len(vectors["mert"]) + 1
    root = str(Path(__file__).resolve().parents[1])
    killed = [sys.executable, "-c", KILLED, root, str(last), *words(ready), "--db", str(shell.db)]
    assert subprocess.run(killed, capture_output=True, check=False).returncode == -signal.SIGKILL
    kept = stored(shell.db)
    assert {kind: len(kept[kind]) for kind in ("mert", "jmla")} == {"mert": last - 1, "jmla": 1}
    with sqlite3.connect(shell.db) as sql:
        assert sql.execute("SELECT count(*) FROM decision").fetchone() == (COUNT,)
    assert shell(*words(ready)) == 0
    assert computed == {"jmla": len(vectors["jmla"]) - 1}
    assert the_same(shell.by_name(), answers)


def unloadable(module: str) -> Any:
    if module == "torch":
        raise OSError("libcusparseLt.so.0: cannot open shared object file: No such file or directory")
    return importlib.import_module(module)


def lost(*_: Any) -> Any:
    raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")


TROUBLES = [
    (
        mert.Mert,
        "_forward",
        lost,
        "the processor stopped working (RuntimeError: CUDA error: unspecified launch failure",
    ),
    (
        lazy,
        "importlib",
        SimpleNamespace(import_module=unloadable),
        "The package torch is installed and does not load (OS",
    ),
    (memory, "available_bytes", lambda: 0, "Loading this network takes"),
]


def test_what_fails_on_a_device_ends_a_stage_with_a_sentence_and_the_next_scan_goes_on(
    ready: Path, shell: Shell, computed: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for *where, sentence in TROUBLES:
        with monkeypatch.context() as patch:
            patch.setattr(*where)
            assert shell(*words(ready)) == 0
        assert f"The stage mert ended early. {sentence}" in shell.err
        assert "bug" not in shell.err
        assert len(shell.objects()) == COUNT
        assert all("mert" not in item["votes"] for item in shell.objects())
        assert computed["mert"] == 0
    assert shell(*words(ready)) == 0
    assert shell.err == ""
    assert computed["mert"] == len(stored(shell.db)["mert"]) > 0
    assert any("mert" in item["votes"] for item in shell.objects())
