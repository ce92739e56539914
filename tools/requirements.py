"""Prints what pip installs beside the package itself: `python tools/requirements.py watch neural --without torch`.

Images install these first, in a layer that only changes with pyproject.toml.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def requirements(project: dict[str, Any], extras: Collection[str], without: Collection[str] = ()) -> Iterator[str]:
    """The requirements of the project and of its extras, each once; KeyError for an extra that there is not.

    An extra that names other extras of the project (`all`) is taken apart; `without` are names of packages.
    """
    seen = set()
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    while lines:
        line = lines.pop(0)
        name = re.match(r"[\w.-]+", line)
        assert name is not None, line
        if name[0] == project["name"]:
            inner = line.partition("[")[2].partition("]")[0]
            lines += [one for extra in inner.split(",") for one in project["optional-dependencies"][extra.strip()]]
        elif line not in seen and name[0] not in without:
            seen.add(line)
            yield line


def main() -> None:
    """Print them, a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*")
    parser.add_argument("--without", action="append", default=[], metavar="PACKAGE")
    given = parser.parse_args()
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    if missing := [extra for extra in given.extras if extra not in project["optional-dependencies"]]:
        parser.error(f"there is no extra {', '.join(missing)}; there are {', '.join(project['optional-dependencies'])}")
    print(*requirements(project, given.extras, given.without), sep="\n")


if __name__ == "__main__":
    main()
