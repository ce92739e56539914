"""Hooks of the documentation site (mkdocs.yml): README.md is its first page, and CHANGELOG.md and LICENSE are pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The page, and the file in the root folder it is.
PAGES = {
    "index.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "LICENSE.md": "LICENSE",
}


def site_text(name: str) -> str:
    """A file of the root folder with its links as they are below `docs/`."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    return text.replace("](LICENSE)", "](LICENSE.md)").replace("](README.md)", "](index.md)")


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the pages that lie in the root folder."""
    from mkdocs.structure.files import File

    for page, name in PAGES.items():
        files.append(File.generated(config, page, content=site_text(name)))
    return files
