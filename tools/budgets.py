"""Measures how large and how tangled the package is, and fails where a budget is exceeded: `python tools/budgets.py`.

One line a measure; `-v` lists what counts against it. The budgets are those of docs/explanation/layout.md.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "music_reclass"

# In identifiers, docstrings, comments and messages.
RETIRED = frozenset(
    "ladder ladders rung rungs climb climbs climbed climbing listen listens listened listening listener hear hears "
    "heard hearing ear ears promise promises promised doubt doubts doubtful abroad bears telling told fellows dear "
    "manner receipt wish wishes ledger shelf".split()
)
# In identifiers alone: prose has other uses for them.
RETIRED_NAMES = frozenset("own account accounts worth views trial proving watched rehearsed".split())
# Words of stored formats, of --json and of flags stay as they are.
STORED = {
    "classification/exit_audit.py": frozenset({"heard", "promised"}),  # keys of stored audits
    "classification/policy.py": frozenset({"doubt"}),  # a stored reason
    "cli/exits.py": frozenset({"hear"}),  # `to_hear` of --json
    "explain/attribution.py": frozenset({"hears"}),  # a feature group of --json
    "explain/explanation.py": frozenset({"heard"}),  # a key of --json
    "extractors/audio/load.py": frozenset({"hear"}),  # the detail of a stored failure
    "extractors/audio/synthesis.py": frozenset({"shelf"}),  # a title of the demo
    "extractors/weights/install.py": frozenset({"hears"}),  # a check of --json
    "features/migrations.py": frozenset({"heard", "listened", "listening"}),  # released SQL
    "features/results.py": frozenset({"heard"}),  # a column
    "models/bundle.py": frozenset({"ladder"}),  # ladder.json
    "models/tag_prior.py": frozenset({"listening"}),  # of the tag genre---easylistening
    "models/calibration.py": frozenset({"doubt"}),  # a key of manifests
    "plex/login.py": frozenset({"account"}),  # a class of plexapi
    "report/statistics.py": frozenset({"promised"}),  # a key of --json
    "report/text.py": frozenset({"heard"}),  # a key of stored audits
    "training/open.py": frozenset({"listened"}),  # listened.sqlite3
}

SCAN = """
import sys
from pathlib import Path
from music_reclass.cli.main import run
folder = Path(sys.argv[1])
code = run(["scan", str(folder / "Music"), "--yes", "--db", str(folder / "library.sqlite3")])
ours = {name: module for name, module in sys.modules.items() if name.startswith("music_reclass")}
print(*(name for name, module in ours.items() if not hasattr(module, "__path__")))
sys.exit(code)
"""
LIBRARY = """
import sys
from pathlib import Path
from music_reclass.extractors.audio.synthesis import make_library
make_library(Path(sys.argv[1]) / "Music")
"""


class Measure(NamedTuple):
    """A number, what it may be at most (or, with `is_floor`, at least), and what counts against it."""

    name: str
    value: float
    budget: float
    counted: tuple[str, ...] = ()
    is_floor: bool = False

    @property
    def fits(self) -> bool:
        """Whether the budget holds."""
        return self.value >= self.budget if self.is_floor else self.value <= self.budget

    def line(self) -> str:
        """The measure in one line."""
        bound = "at least" if self.is_floor else "at most"
        return f"{self.name:<36} {self.value:>7g}   {bound} {self.budget:g}{'' if self.fits else '   EXCEEDED'}"


class Sources(NamedTuple):
    """The modules below a folder, by dotted name: their text and syntax trees."""

    root: Path
    texts: dict[str, str]
    trees: dict[str, ast.Module]


def sources(root: Path = ROOT) -> Sources:
    """All modules of the package in the checkout `root`."""
    texts = {_module(root, path): path.read_text("utf-8") for path in sorted((root / PACKAGE).rglob("*.py"))}
    return Sources(root, texts, {name: ast.parse(text) for name, text in texts.items()})


def _module(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def modules(read: Sources) -> Measure:
    """How many files of Python there are."""
    return Measure("modules", len(read.texts), 222)


def dataclasses(read: Sources) -> Measure:
    """How many dataclasses there are; named tuples are listed beside them and do not count."""
    found, tuples = [], []
    for module, tree in read.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
                    found.append(f"{module}.{node.name}")
                elif any(ast.unparse(base).endswith("NamedTuple") for base in node.bases):
                    tuples.append(f"(named tuple) {module}.{node.name}")
    return Measure("dataclasses", len(found), 154, (*found, *tuples))


def scanned_modules(read: Sources) -> Measure:
    """How many modules of the package a scan enters that writes a library of eight formats."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for code in (LIBRARY, SCAN):
            child = subprocess.run(
                [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True, cwd=read.root
            )
    entered = sorted(child.stdout.splitlines()[-1].split())
    return Measure("modules a scan enters", len(entered), 79, tuple(entered))


def positional(read: Sources) -> Measure:
    """The most positional parameters of a function, `self` and `cls` aside; click's callbacks get theirs by name."""
    counts = {}
    for place, function in _functions(read):
        if any(re.search(r"\b(command|group)\(|_flags", ast.unparse(one)) for one in function.decorator_list):
            continue
        names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
        counts[place] = len(names) - (names[:1] in (["self"], ["cls"]))
    return _largest("positional parameters", counts, 4)


def longest(read: Sources) -> Measure:
    """The lines of the longest function, its decorators aside."""
    lines = {place: (one.end_lineno or one.lineno) - one.lineno + 1 for place, one in _functions(read)}
    return _largest("lines of the longest function", lines, 60)


def _functions(read: Sources) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, tree in read.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}.{node.name}:{node.lineno}", node


def _largest(name: str, counts: dict[str, int], budget: int) -> Measure:
    over = sorted(((count, place) for place, count in counts.items() if count > budget), reverse=True)
    return Measure(name, max(counts.values(), default=0), budget, tuple(f"{count} {place}" for count, place in over))


def cycles(read: Sources) -> Measure:
    """How many groups of modules import one another, within functions too; imports for types alone do not count."""
    graph = {module: _imports(module, tree, read.trees.keys()) for module, tree in read.trees.items()}
    reached = {module: _reachable(module, graph) for module in graph}
    groups = {
        tuple(sorted({module, *(other for other in reached[module] if module in reached[other])}))
        for module in graph
        if module in reached[module]
    }
    return Measure("import cycles", len(groups), 0, tuple(" <-> ".join(group) for group in sorted(groups)))


def _imports(module: str, tree: ast.Module, known: object) -> set[str]:
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in known else node.module)  # type: ignore[operator]
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in known} - {module}  # type: ignore[operator]


def _reachable(module: str, graph: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[module])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def mirrors(read: Sources) -> Measure:
    """How many modules have no tests of their own at the same place below `tests/`."""
    missing = []
    for path in sorted((read.root / PACKAGE).rglob("*.py")):
        place = path.relative_to(read.root / PACKAGE)
        if path.stem.startswith("__") or not path.read_text("utf-8").strip():
            continue
        folder = read.root / "tests" / place.parent
        if not any(
            test.stem == f"test_{path.stem}" or test.stem.startswith(f"test_{path.stem}_")
            for test in folder.glob(f"test_{path.stem}*.py")
        ):
            missing.append(str(place))
    return Measure("modules without mirror tests", len(missing), 0, tuple(missing))


def tests_to_code(read: Sources) -> Measure:
    """Lines of tests for each line of the package."""
    tests = sum(_lines(path.read_text("utf-8")) for path in (read.root / "tests").rglob("*.py"))
    return Measure(
        "lines of tests to lines of code", round(tests / sum(map(_lines, read.texts.values())), 3), 1, (), True
    )


def _lines(text: str) -> int:
    return len(text.splitlines())


def retired_words(read: Sources) -> Measure:
    """How many retired words stand in the package, stored formats aside."""
    found = []
    for module, text in read.texts.items():
        place = module.removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py"
        allowed = STORED.get(place, frozenset())
        for number, word in _words(text):
            if word not in allowed:
                found.append(f"{place}:{number} {word}")
    return Measure("retired words", len(found), 0, tuple(found))


def _words(text: str) -> Iterator[tuple[int, str]]:
    """The retired words of a module, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        retired = RETIRED | RETIRED_NAMES if token.type == tokenize.NAME else RETIRED
        for offset, line in enumerate(token.string.splitlines()):
            for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", line):
                if part.lower() in retired:
                    yield token.start[0] + offset, part.lower()


MEASURES: tuple[Callable[[Sources], Measure], ...] = (
    modules, dataclasses, scanned_modules, positional, longest, cycles, mirrors, tests_to_code, retired_words,
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print every measure; 1 where one exceeds its budget."""
    read = sources()
    measured = [measure(read) for measure in MEASURES]
    for measure in measured:
        print(measure.line())
        if "-v" in arguments:
            print(*(f"    {one}" for one in measure.counted), sep="\n")
    return 0 if all(measure.fits for measure in measured) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
