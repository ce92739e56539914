"""What `reclass audit` finds in libraries in which one tag in ten was swapped.

Half of the artists of the table become a library in SQLite; a model of the other half plays the embedded one. Half of
the tracks of one genre become bands of up to 30 tracks, each with a finer genre of its own, as libraries hold them.
Then 10 % of the tracks get the tags of a track of other genres.

python benchmarks/audit.py TABLE.npz [LIBRARIES [EFFICIENTAT.npz]]; with the last one EfficientAT's vectors of the same
rows (`mn04`) are stored too.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.cli import audit as command
from music_reclass.cli.main import run
from music_reclass.domain import Track, TrackTags
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models import bundle as bundles
from music_reclass.models.calibration import Calibration
from music_reclass.models.dataset import Table
from music_reclass.models.linear import linear_estimator
from music_reclass.taxonomy import Taxonomy, load
from music_reclass.training import npz

SHARE, FIRST, BAND = 0.10, 20, 30
Tags = tuple[str, ...]
Groups = NDArray[np.int64]
Vectors = NDArray[np.float32]


def bands(
    tags: list[Tags], groups: Groups, taxonomy: Taxonomy, generator: np.random.Generator
) -> tuple[list[Tags], list[str]]:
    """Tags and artists with half of the tracks of one genre by bands of a finer one."""
    children: dict[str, list[str]] = {}
    for name in taxonomy.labels:
        if above := taxonomy.parent(name):
            children.setdefault(above, []).append(name)
    found, artists = list(tags), [f"artist {group}" for group in groups.tolist()]
    for parent in sorted({names[0] for names in tags if len(names) == 1 and names[0] in children}):
        rows = [row for row, names in enumerate(tags) if names == (parent,)]
        some = generator.permutation(rows)[: len(rows) // 2].tolist()
        for start in range(0, len(some), BAND):
            genre = str(generator.choice(children[parent]))
            for row in some[start : start + BAND]:
                found[row], artists[row] = (genre,), f"{genre} band {start}"
    return found, artists


def kin(one: Tags, other: Tags, taxonomy: Taxonomy) -> bool:
    """Whether any genre of one is, or lies above or below, one of the other."""
    return any(a == b or taxonomy.is_descendant(a, b) or taxonomy.is_descendant(b, a) for a in one for b in other)


def swapped(tags: list[Tags], taxonomy: Taxonomy, generator: np.random.Generator) -> tuple[list[Tags], set[int]]:
    """The tags with SHARE of them exchanged for those of a track of other genres, and which."""
    noisy, wrong = list(tags), set()
    for row in generator.permutation(len(tags))[: round(SHARE * len(tags))].tolist():
        strangers = [other for other, names in enumerate(tags) if not kin(tags[row], names, taxonomy)]
        noisy[row] = tags[int(generator.choice(strangers))]
        wrong.add(row)
    return noisy, wrong


def embedded_without(table: Table) -> bundles.Bundle:
    """A bundle that was trained on `table` alone."""
    model = linear_estimator().fit(table, None)
    return replace(bundles.embedded(), labels=table.classes, model=model, calibration=Calibration(), digest="other")


def saved(path: Path, table: Table, tags: list[Tags], artists: list[str], *, more: Vectors | None) -> list[str]:
    """A library of the rows with these tags, and with `more` vectors of EfficientAT; the path of each."""
    paths = [f"/library/{artist}/{row:04}.flac" for row, artist in enumerate(artists)]
    tracks = [
        Track(name, 1, row + 1, f"{row:020}".encode(), 30.0, TrackTags(tags[row], artist=artist), (), table.rows[row])
        for row, (name, artist) in enumerate(zip(paths, artists, strict=True))
    ]
    database = Database(path)
    ids = Library(database).save(tracks, bundles.embedded().kinds[0])
    if more is not None:
        Library(database).add_vectors(dict(zip(ids, more, strict=True)), npz.PUBLISHED["efficientat"])
    database.close()
    return paths


def printed(*words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, objects and messages of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(words))
    return code, [json.loads(line) for line in out.getvalue().splitlines() if line.startswith("{")], err.getvalue()


def share(rows: list[dict[str, Any]], wrong: set[str]) -> str:
    """How many of the rows are swapped ones."""
    return f"{sum(row['path'] in wrong for row in rows)} of {len(rows)}"


def measured(table: Table, other: Table, more: Vectors | None, seed: int) -> tuple[int, int]:
    """One library, printed; how many of its first suspects were swapped, and how many suspects these are."""
    generator, taxonomy = np.random.default_rng(seed), load()
    tags, artists = bands(
        [tuple(np.array(table.classes)[row]) for row in table.labels], table.groups, taxonomy, generator
    )
    tags, rows = swapped(tags, taxonomy, generator)
    bundle, judged = embedded_without(other), command._judged
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        db = Path(folder) / "library.sqlite3"
        paths = saved(db, table, tags, artists, more=more)
        wrong = {paths[row] for row in rows}
        tagged = dict(zip(paths, tags, strict=True))
        patch.setattr(bundles, "embedded", lambda: bundle)
        held: list[Any] = []
        patch.setattr(command, "_judged", lambda *words: held[0] if held else (held.append(judged(*words)) or held[0]))
        everything = printed("audit", "--json", "--least", "0.05", "--db", str(db))[1]
        found = printed("audit", "--json", "--db", str(db))[1]
        words = ["audit", "--fix", "--dry-run", "--json", "--db", str(db)]
        code, plan, problem = printed(*words, "--on-existing", "replace-conflict")
        if code == 2:  # before --on-existing counted
            code, plan, problem = printed(*words)
    coarser = sum(any(taxonomy.is_descendant(name, row["suggested"]) for name in tagged[row["path"]]) for row in found)
    writes = [row for row in plan if row["action"] == "write"]
    first = everything[:FIRST]
    print(
        f"seed {seed}: {len(wrong)} of {len(paths)} tags swapped; first {len(first)}: {share(first, wrong)}; "
        f"list: {share(found, wrong)}, {coarser} of them coarser; --fix: {share(writes, wrong)} {problem * bool(code)}",
        flush=True,
    )
    if found:
        print(f"    expected {found[0]['expected_precision']:.2f}, checked {found[0].get('checked')}", flush=True)
    return sum(row["path"] in wrong for row in first), len(first)


def main() -> None:
    """Libraries of several seeds."""
    data = npz.read(Path(sys.argv[1])).table
    more = np.load(sys.argv[3])["mn04"] if len(sys.argv) > 3 else None
    hits = listed = 0
    for seed in range(int(sys.argv[2]) if len(sys.argv) > 2 else 4):
        artists = np.random.default_rng(seed).permutation(np.unique(data.groups))
        mine = np.isin(data.groups, artists[: len(artists) // 2])
        right, count = measured(data.chosen(mine), data.chosen(~mine), None if more is None else more[mine], seed)
        hits, listed = hits + right, listed + count
    print(f"first {FIRST} of all libraries: {hits} of {listed}, {hits / max(listed, 1):.2f}")


if __name__ == "__main__":
    main()
