"""A release is of one version, and the address of the repository is filled in where it is known."""

import shutil
import sys
from pathlib import Path

import pytest

from music_reclass import __version__
from tools import release

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that a release looks at, with a section of this version in the changelog."""
    (tmp_path / "music_reclass").mkdir()
    for name in ("pyproject.toml", "README.md", "CITATION.cff", "music_reclass/__init__.py"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    changes = [
        "# Changelog",
        "## Unreleased",
        "- later",
        f"## {__version__} - 2026-12-01",
        "- new",
        "## 0.0.1 - 2026-01-01",
    ]
    (tmp_path / "CHANGELOG.md").write_text("\n\n".join([*changes, "- old\n"]))
    return tmp_path


def test_the_tag_the_package_the_citation_and_the_changelog_name_one_version(checkout: Path) -> None:
    assert release.problems(f"v{__version__}", checkout) == []
    assert "must be" in release.problems("v9.9.9", checkout)[0]
    (checkout / "CITATION.cff").write_text("version: 9.9.9\n")
    (checkout / "CHANGELOG.md").write_text("## Unreleased\n")
    said = release.problems(f"v{__version__}", checkout)
    assert [name for name in ("CITATION.cff", "CHANGELOG.md") if any(name in line for line in said)] == [
        "CITATION.cff",
        "CHANGELOG.md",
    ]


def test_the_notes_are_the_section_of_the_version(checkout: Path) -> None:
    assert release.notes(checkout) == "- new"


def test_the_address_makes_urls_and_whole_links_once(checkout: Path) -> None:
    for _ in range(2):
        release.fill_in("https://example.org/someone/reclass/", checkout)
        project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
        assert project["urls"]["Source"] == "https://example.org/someone/reclass"
        assert project["scripts"]
        readme = (checkout / "README.md").read_text()
        assert f"](https://example.org/someone/reclass/blob/v{__version__}/docs/how-to/plex.md)" in readme
        assert "](docs/" not in readme
        assert "blob/blob" not in readme
    with pytest.raises(SystemExit, match="no address"):
        release.fill_in("somewhere", checkout)


def test_the_citation_is_of_the_version_that_the_package_has() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
