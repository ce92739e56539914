"""Golden files: what a command prints is compared with a JSON file, and written to it where somebody asks for that.

`RECLASS_GOLDEN=write pytest tests/test_golden*.py` writes them anew; look at the difference before you commit it.
Numbers may differ by TOLERANCE, as processors do; keys, their order, strings and types may not. A change of a golden
file means that libraries, bundles or scripts in the field see something else than they did. The stored library
(stored.py) is never made anew while it is there: delete it first, if you must.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
WRITE = os.environ.get("RECLASS_GOLDEN") == "write"  # read here, as the tests themselves see no such variables
TOLERANCE = 1.5e-3  # absolute and relative; a figure that is printed with three decimals may be off by one
TIME = "@TIME@"
TIMES = ("seconds", "usual_seconds", "started", "finished", "at", "made", "costs")  # keys of times and durations


def compare(name: str, found: Any, *, tolerance: float = TOLERANCE, **hidden: str | Path) -> None:
    """Fail unless `found` is what the golden file `name` holds.

    Times and versions count as equal. Every text of `hidden` (word -> text) is replaced by @WORD@ first. A `tolerance`
    other than the usual one is relative only.
    """
    texts = {str(text): f"@{word.upper()}@" for word, text in hidden.items()}
    masked = _masked(found, texts)
    path = FOLDER / f"{name}.json"
    if WRITE:
        path.write_text(json.dumps(masked, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    wanted = json.loads(path.read_text(encoding="utf-8"))
    wrong = list(_differences(wanted, json.loads(json.dumps(masked)), name, tolerance))
    assert not wrong, "\n".join(wrong[:20])


def _masked(value: Any, texts: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        below = key if key in TIMES else ""
        return {_masked(name, texts): _masked(item, texts, below or name) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(item, texts, key if key in TIMES else "") for item in value]
    if isinstance(value, str):
        for text, word in texts.items():
            value = value.replace(text, word)
        return "@VERSION@" if key == "version" and value.count(".") > 1 else value
    if key in TIMES and isinstance(value, (int, float)):
        return TIME
    return value


def _differences(wanted: Any, found: Any, where: str, tolerance: float) -> Iterator[str]:
    if type(wanted) is not type(found):
        yield f"{where}: {wanted!r} was here, now {found!r}"
    elif isinstance(wanted, dict):
        if list(wanted) != list(found):
            yield f"{where}: the keys were {list(wanted)}, now {list(found)}"
        for key in wanted.keys() & found.keys():
            yield from _differences(wanted[key], found[key], f"{where}.{key}", tolerance)
    elif isinstance(wanted, list):
        if len(wanted) != len(found):
            yield f"{where}: {len(wanted)} were here, now {len(found)}: {found!r}"
        for number, pair in enumerate(zip(wanted, found, strict=False)):
            yield from _differences(*pair, f"{where}[{number}]", tolerance)
    elif isinstance(wanted, float):
        least = 1.0 if tolerance == TOLERANCE else 0.0
        if abs(wanted - found) > tolerance * max(least, abs(wanted)):
            yield f"{where}: {wanted} was here, now {found}"
    elif wanted != found:
        yield f"{where}: {wanted!r} was here, now {found!r}"
