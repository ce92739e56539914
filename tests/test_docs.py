"""The documentation names every command and flag, its links lead somewhere, and the README's commands work."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from music_reclass.cli.main import COMMANDS, cli
from music_reclass.config import Settings
from music_reclass.extractors.weights.catalogue import MODELS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def leaves(group: click.Group, path: str = "reclass") -> list[tuple[str, click.Command]]:
    """Each command with its full name."""
    found, context = [], click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        is_group = isinstance(command, click.Group)
        found += leaves(command, f"{path} {name}") if is_group else [(f"{path} {name}", command)]
        if is_group and command.invoke_without_command:
            found.append((f"{path} {name}", command))
    return found


def test_every_command_and_every_flag_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "commands.md").read_text()
    sections = {part.split("\n", 1)[0].strip("` "): part for part in text.split("\n## ")[1:]}
    common = sections["Flags that many commands share"]
    for name, command in leaves(cli):
        assert name in sections, f"{name} has no section in commands.md"
        for option in command.params:
            if isinstance(option, click.Option):
                flag = next(name for name in option.opts if name.startswith("--"))
                assert flag in sections[name] or flag in common, f"{name} {flag} is not documented"


def test_the_reference_of_commands_is_what_the_commands_say() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_commands.py"))["page"]()
    assert (ROOT / "docs" / "reference" / "commands.md").read_text() == made, "run: python docs/make_commands.py"


def test_the_table_of_settings_is_what_the_settings_are() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_commands.py"))["settings_table"]()
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    assert made in text, "run: python docs/make_commands.py"
    for name in Settings.__dataclass_fields__:
        assert f"| `{name}` |" in made


def test_the_manual_pages_are_what_the_commands_say_one_for_each() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_commands.py"))["man_pages"]()
    assert {path.name: path.read_text() for path in (ROOT / "docs" / "man").iterdir()} == made, (
        "run: python docs/make_commands.py"
    )
    assert made.keys() == {"reclass.1", *(f"reclass-{name}.1" for name in COMMANDS)}
    for name, command in leaves(cli):
        text = made[f"reclass-{name.split()[1]}.1"]
        for option in (one for one in command.params if isinstance(one, click.Option) and not one.hidden):
            assert all(f"\\fB{flag}\\fR".replace("-", "\\-") in text for flag in option.opts), f"{name} {option.opts}"
    overview = made["reclass.1"]
    assert all(f"RECLASS_{name.upper()}" in overview for name in Settings.__dataclass_fields__)
    assert re.search(r"\.TP\n\\fB130\\fR\n", overview)  # the exit codes of json.md
    assert "Sentinel" not in "".join(made.values())


def test_mandoc_finds_no_fault_in_the_manual_pages() -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed (the Debian package of that name)")
    pages = sorted(map(str, (ROOT / "docs" / "man").iterdir()))
    said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True).stdout
    assert [line for line in said.splitlines() if "missing date" not in line] == []  # pages have no date of their own


def test_the_table_of_models_and_the_flowchart_are_what_the_catalogue_and_the_bundles_say() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_models.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "run: python docs/make_models.py"
    assert made["FIGURE"].read_text(encoding="utf-8") == made["figure"](), "run: python docs/make_models.py"
    for name in (*MODELS, "fma-mlp", "content-linear"):
        assert f"| `{name}`" in made["page"](), name


def test_every_page_is_in_the_menu_of_the_site_once() -> None:
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = re.findall(r"(\S+\.md)$", menu, flags=re.M)
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.name != "README.md"}
    made = set(runpy.run_path(str(ROOT / "docs" / "site_hooks.py"))["PAGES"])
    assert sorted(listed) == sorted(pages | made), "nav in mkdocs.yml names each page once"


def test_the_first_page_of_the_site_is_the_readme_with_links_that_lead_somewhere() -> None:
    hooks = runpy.run_path(str(ROOT / "docs" / "site_hooks.py"))
    for name in hooks["PAGES"].values():
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", hooks["site_text"](name)):
            assert target in hooks["PAGES"] or (ROOT / "docs" / target).is_file(), f"{name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_code_blocks_exist(page: Path) -> None:
    known = {name for name, _ in leaves(cli)} | {"reclass"}
    for block in re.findall(r"```(?:sh|cron)?\n(.*?)```", page.read_text(), flags=re.S):
        for line in block.splitlines():
            for words in re.findall(r"(?:^|&& |\$ |\s)(reclass(?: [a-z][a-z0-9-]*)*)", line.split("#")[0]):
                candidates = [" ".join(words.split()[:count]) for count in range(1, 4)]
                if words.startswith("reclass "):
                    assert set(candidates[1:]) & known, f"{page.name} shows `{words}`, which is no command"


def test_no_page_names_a_path_of_a_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/(home|root|work|tmp)/", page.read_text()), page


def test_the_layout_page_is_the_tree_of_modules_as_they_describe_themselves() -> None:
    make_layout = runpy.run_path(str(ROOT / "docs" / "make_layout.py"))
    page = make_layout["PAGE"].read_text(encoding="utf-8")
    assert page == make_layout["page"](), "run: python docs/make_layout.py"
    for name in re.findall(r"`(\w+/[\w/]+\.py)`", page):
        assert (ROOT / "music_reclass" / name).is_file() or (ROOT / name).is_file(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_script_and_test_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"\b(?:tests|benchmarks|tools)/[a-z_0-9/]+\.py", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_readme_installs_into_an_environment_of_its_own_and_says_what_it_knows_before_anything_is_run() -> None:
    text = (ROOT / "README.md").read_text()
    before = text.partition("```")[0]
    assert "15 broad genres" in before
    first = re.findall(r"```sh\n(.*?)```", text, flags=re.S)[0]
    assert "python3 -m venv" in first  # Debian 12 refuses pip outside of one
    assert re.search(r"^pip install", first, flags=re.M) is None
    assert "humpback" not in text


def test_the_transcript_has_no_word_that_the_program_no_longer_says() -> None:
    text = (ROOT / "docs" / "tutorial" / "transcript.md").read_text()
    for words in (
        "recognised (about",
        "not sure enough",
        "Nothing was written (dry run).",
        "Written: ",
        "as before, to the byte",
    ):
        assert words in text
    said = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "music_reclass").rglob("*.py"))
    assert "recognised" in said
    assert "not sure enough" in said


def test_every_row_of_everyday_use_is_a_command_that_takes_these_flags() -> None:
    known = dict(leaves(cli))
    table = (ROOT / "README.md").read_text().partition("## Everyday use")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`reclass .*?) \|", table, flags=re.M)
    assert len(rows) > 10
    for words in (found for row in rows for found in re.findall(r"`(reclass [^`]*)`", row)):
        parts = words.split()
        name = max((name for name in known if words.startswith(name)), key=len)
        flags = {flag for option in known[name].params for flag in option.opts}
        assert {part for part in parts if part.startswith("--")} <= flags, words
    assert "extra `plots`" in table
    assert "`reclass eval`" not in table  # says nothing without data
