"""What a release checks and fills in: `python tools/release.py check v1.2.3`, `address URL`, `notes`.

`check` fails unless the tag, the package, CITATION.cff and CHANGELOG.md name one version. `address` writes the address
of the repository that releases into pyproject.toml ([project.urls]), and makes the links of README.md whole, since
package indexes show it without the folders beside it. `notes` prints the section of the version in CHANGELOG.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def version(root: Path = ROOT) -> str:
    """The version of the package."""
    text = (root / "music_reclass" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, flags=re.M)
    assert found is not None
    return found[1]


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """What keeps that tag from being released, a sentence each."""
    now, found = version(root), []
    if tag != f"v{now}":
        found.append(f"The tag is {tag}, and music_reclass.__version__ is {now}: the tag must be v{now}.")
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    if not re.search(rf"^version: {re.escape(now)}$", citation, flags=re.M):
        found.append(f"CITATION.cff does not name version {now}.")
    if not notes(root):
        found.append(f"CHANGELOG.md has no section '## {now} - DATE'.")
    return found


def notes(root: Path = ROOT) -> str:
    """What CHANGELOG.md says of this version; empty where it says nothing."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(version(root))} - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S)
    return found[1].strip() if found else ""


def fill_in(address: str, root: Path = ROOT) -> None:
    """Write the repository's address into pyproject.toml and make README.md's links whole; twice is as once."""
    address = address.rstrip("/")
    if not re.fullmatch(r"https://[\w.-]+/[\w./-]+", address):
        raise SystemExit(f"{address!r} is no address of a repository, as https://HOST/OWNER/NAME is.")
    project = root / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    if "[project.urls]" not in text:
        rows = {"Source": address, "Issues": f"{address}/issues", "Changelog": f"{address}/blob/main/CHANGELOG.md"}
        table = "".join(f'{name} = "{url}"\n' for name, url in rows.items())
        project.write_text(
            text.replace("[project.scripts]", f"[project.urls]\n{table}\n[project.scripts]"), encoding="utf-8"
        )
    readme = root / "README.md"
    whole = re.sub(r"\]\((?!https?:|#)", f"]({address}/blob/v{version(root)}/", readme.read_text(encoding="utf-8"))
    readme.write_text(whole, encoding="utf-8")


def main(words: list[str]) -> None:
    """Do what the first word names."""
    match words:
        case ["check", tag]:
            if found := problems(tag):
                raise SystemExit("\n".join(found))
        case ["address", address]:
            fill_in(address)
        case ["notes"]:
            print(notes())
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
