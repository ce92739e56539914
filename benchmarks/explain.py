"""What docs/how-to/explain.md shows: explanations, and how far one feature group at a time speaks for all.

    python benchmarks/explain.py examples ../shared/data docs/how-to/explain.md
    python benchmarks/explain.py interactions ../shared/data/training/genre_clips.npz

`examples` runs `reclass explain` on copies of golden recordings, in a home folder and a data folder of its own, and
puts what it prints below the page's markers. `interactions` compares the ablation of one feature group at a time with
Shapley values, which share the change out over all 64 sets of groups, on the rows of a table.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

RECLASS = [sys.executable, "-m", "music_reclass"]


def examples(data: Path, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        kept = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config")}
        weights = data / "weights" / "musicnn_jamendo.pth"
        subprocess.run([*RECLASS, "models", "install", "musicnn", str(weights)], check=True, env=environment)
        (home / "Music").mkdir()
        for name in re.findall(r"<!-- example: (\S+) -->", text):
            source = next(path for folder in ("golden", "fma/clips") if (path := data / folder / name).is_file())
            shutil.copy(source, home / "Music" / name)
            command = [*RECLASS, "explain", str(home / "Music" / name)]
            done = subprocess.run(command, check=True, env=environment, capture_output=True, encoding="utf-8")
            marker = f"<!-- example: {name} -->\n```text\n"
            start = text.index(marker) + len(marker)
            text = text[:start] + done.stdout.rstrip() + "\n" + text[text.index("```\n", start) :]
    page.write_text(text, encoding="utf-8")


def interactions(table: Path) -> None:
    from music_reclass.classification.voter import Stage
    from music_reclass.explain.attribution import FEATURE_GROUPS, SLIGHT, attribute
    from music_reclass.extractors.fma518 import FAMILIES
    from music_reclass.models.bundle import embedded
    from music_reclass.taxonomy import load

    stage = Stage.from_bundle(embedded(), load())
    middle = embedded().medians()
    assert middle is not None
    places = [np.concatenate([np.r_[FAMILIES[family]] for family in families]) for families in FEATURE_GROUPS.values()]
    sets = list(itertools.product((False, True), repeat=len(FEATURE_GROUPS)))
    with np.load(table) as stored:
        rows = stored["fma518"]
    once, shared, alone = [], [], []
    for row in rows:
        likely = stage.bundle.predict_proba(row[None])[0]
        genre = stage.genres[int(likely.argmax())]
        found = attribute(stage, row, genre)
        assert found is not None
        by_name = {contribution.group: contribution for contribution in found.groups}
        once.append([by_name[group].change for group in FEATURE_GROUPS])
        alone.append([by_name[group].by_itself for group in FEATURE_GROUPS])
        mixed = np.tile(middle, (len(sets), 1))
        for number, chosen in enumerate(sets):
            for taken, place in zip(chosen, places, strict=True):
                if taken:
                    mixed[number, place] = row[place]
        shares = np.clip(stage.bundle.predict_proba(mixed)[:, int(likely.argmax())], 1e-4, 1 - 1e-4)
        odds = dict(zip(sets, np.log(shares / (1 - shares)), strict=True))
        shared.append([_shapley(odds, group, len(FEATURE_GROUPS)) for group in range(len(FEATURE_GROUPS))])
    first, fair, single = np.array(once), np.array(shared), np.array(alone)
    marked = np.abs(first) >= SLIGHT
    print(f"{len(rows)} rows, {marked.sum()} marked groups of {marked.size}")
    print(
        f"same sign as its Shapley value: {np.mean(np.sign(first[marked]) == np.sign(fair[marked])):.3f} of the marked"
    )
    strong = np.abs(first) >= 1.0
    print(f"  of those with ++ or more: {np.mean(np.sign(first[strong]) == np.sign(fair[strong])):.3f}")
    print(f"largest by both: {np.mean(np.abs(first).argmax(axis=1) == np.abs(fair).argmax(axis=1)):.3f} of the rows")
    print(f"correlation of the two: {np.corrcoef(first.ravel(), fair.ravel())[0, 1]:.3f}")
    opposed = marked & (first * single < 0) & (np.abs(single) >= 1.0)
    print(f"marked groups that point the other way by themselves: {opposed.sum() / marked.sum():.3f}")


def _shapley(odds: dict[tuple[bool, ...], float], group: int, count: int) -> float:
    total = 0.0
    for chosen, without in odds.items():
        if not chosen[group]:
            size = sum(chosen)
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            total += weight * (odds[(*chosen[:group], True, *chosen[group + 1 :])] - without)
    return total


if __name__ == "__main__":
    if sys.argv[1:2] == ["examples"]:
        examples(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        interactions(Path(sys.argv[2]))
