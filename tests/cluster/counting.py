"""A reader for nodes of a test cluster: it notes every file that it computes, and may wait at a gate."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from music_reclass.classification.reading import ReadTask, timed_read
from music_reclass.domain import FeatureKind, Track


def counted_read(task: ReadTask, kinds: Sequence[FeatureKind], folder: str) -> tuple[Track, dict[Any, float]]:
    """What the true reader gives; `folder/log` gets a line with node and file, and the node named in `folder/gate`
    waits before it computes until that file is gone."""
    node = os.environ.get("RECLASS_TEST_NODE", "first")
    gate = os.path.join(folder, f"gate-{node}")
    while os.path.exists(gate):
        time.sleep(0.02)
    with open(os.path.join(folder, "log"), "a") as log:
        log.write(f"{node} {os.path.basename(task[0].path)} {os.path.dirname(task[0].path)}\n")
    return timed_read(task, kinds)
