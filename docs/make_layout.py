"""Write the tree in `docs/explanation/layout.md` from the modules' docstrings: `python docs/make_layout.py`."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "layout.md"
PACKAGE = ROOT / "music_reclass"
FLOORS = (
    "errors domain config taxonomy utils containers extractors features tagging models classification training "
    "report explain plex cluster cli web"
).split()
BEGIN, END = "<!-- tree -->\n", "<!-- end of tree -->"


def first_line(path: Path) -> str:
    """The first line of the module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def tree() -> str:
    """Every package, lowest floor first, with every module and what it does."""
    parts = []
    for floor in FLOORS:
        if (PACKAGE / f"{floor}.py").is_file():
            parts.append(f"**`{floor}.py`** - {first_line(PACKAGE / f'{floor}.py')}\n")
            continue
        for folder in sorted({path.parent for path in (PACKAGE / floor).rglob("*.py")}):
            name = folder.relative_to(PACKAGE).as_posix()
            rows = [
                f"| `{path.name}` | {first_line(path)} |"
                for path in sorted(folder.glob("*.py"))
                if path.name != "__init__.py"
            ]
            parts.append(
                "\n".join([f"**`{name}/`** - {first_line(folder / '__init__.py')}\n", "| | |", "|---|---|", *rows, ""])
            )
    return "\n".join(parts)


def page() -> str:
    """The page with the tree as the modules describe themselves now."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return head + BEGIN + "\n" + tree() + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
