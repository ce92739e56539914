"""Write the reference of commands and of settings, and the manual pages, from the commands and settings themselves:
`python docs/make_commands.py`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from music_reclass import __version__
from music_reclass.cli.main import COMMANDS, GROUPS, cli
from music_reclass.config import Settings, declared, shown_default

PAGE = Path(__file__).resolve().parent / "reference" / "commands.md"
SETTINGS_PAGE = PAGE.with_name("configuration.md")
JSON_PAGE = PAGE.with_name("json.md")  # has the table of exit codes
MAN = PAGE.parents[1] / "man"
FILES = (
    ("library.sqlite3", "The library database with the journal of all that was written, in your data folder."),
    ("config.toml", "Settings, in your configuration folder; `reclass config` shows where."),
    ("models/", "Downloaded models, in your data folder, or where RECLASS_MODELS points."),
)
TABLE_HEAD = "| setting | default | meaning |\n|---|---|---|\n"
HEAD = """# Commands

`reclass COMMAND --help` says the same in the terminal. stdout is data, stderr is progress; exit codes and JSON: \
[json](json.md).
This page is written by `python docs/make_commands.py`.

## Flags that many commands share

| flag | meaning |
|---|---|
| `-n`, `--dry-run`, `--pretend` | show what would be written; write no tag |
| `-y`, `--yes` | write without asking; without a terminal nothing is written unless it is given |
| `--json` | one JSON object a line on stdout, nothing else |
| `--db FILE` | the library database |
| `--config FILE` | another [configuration file](configuration.md) |
| `-h`, `--help` | help |
"""


def leaves(group: click.Group, path: str = "reclass") -> Iterator[tuple[str, click.Command]]:
    """Each command with its full name; a group too where it does something by itself."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path} {name}")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield f"{path} {name}", command


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(name, command) for name, command in sorted(leaves(cli)))])


def _section(name: str, command: click.Command) -> str:
    words = _arguments(command)
    lines = [f"## `{name}`", ""]
    if words:
        lines += [f"`{' '.join([name, *words])}`", ""]
    lines += [" ".join((command.help or "").split()), ""]
    options = [own for own in command.params if isinstance(own, click.Option)]
    own = [option for option in options if not _is_shared(option)]
    if own:
        lines += ["| flag | meaning |", "|---|---|", *map(_row, own), ""]
    shared = sorted(_name(option) for option in options if _is_shared(option))
    if shared:
        lines += [f"Also: {', '.join(f'`{flag}`' for flag in shared)}.", ""]
    return "\n".join(lines)


def _arguments(command: click.Command) -> list[str]:
    """The arguments of a command as its synopsis has them."""
    words = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            shown = (parameter.human_readable_name or "") + ("..." if parameter.nargs == -1 else "")
            words.append(shown if parameter.required else f"[{shown}]")
    return words


def _is_shared(option: click.Option) -> bool:
    return _name(option) in ("--config", "--db", "--dry-run", "--json", "--yes")


def _name(option: click.Option) -> str:
    return next(name for name in option.opts if name.startswith("--"))


def _row(option: click.Option) -> str:
    flags = [*option.opts, *option.secondary_opts]
    flags.sort(key=lambda name: (name.startswith("--"), name))
    text = " ".join((option.help or "").split()).rstrip(".").replace("|", "\\|")
    if option.show_default and isinstance(option.default, str | int | float) and not isinstance(option.default, bool):
        text += f" (default: {option.default})"
    if isinstance(option.type, click.Choice) and "one of" not in text:
        text += f"; one of {', '.join(f'`{choice}`' for choice in option.type.choices)}"
    if option.required:
        text += " (required)"
    return f"| {', '.join(f'`{flag}`' for flag in flags)} | {text.removeprefix('; ').strip()} |"


def settings_table() -> str:
    """The table of the settings, each as it is declared."""
    return TABLE_HEAD + "".join(map(_setting_row, Settings.__dataclass_fields__))


def _setting_row(name: str) -> str:
    words = declared(name).metadata
    meaning = words["meaning"].rstrip(".")
    if words["choices"]:
        meaning += f"; one of {', '.join(f'`{choice}`' for choice in words['choices'])}"
    default = f"`{shown_default(name)}`"
    if isinstance(declared(name).default, bool):
        default = f"`{str(declared(name).default).lower()}`"
    elif words["shown"]:
        default = words["shown"]
    return f"| `{name}` | {default} | {meaning} |\n"


def settings_page() -> str:
    """The page of the settings, with its table as the settings are declared now."""
    before, _, rest = SETTINGS_PAGE.read_text(encoding="utf-8").partition(TABLE_HEAD)
    rows = rest.splitlines(keepends=True)
    after = "".join(rows[next(number for number, line in enumerate(rows) if not line.startswith("|")) :])
    return before + settings_table() + after


def man_pages() -> dict[str, str]:
    """Every manual page by its file name: reclass(1), and one for each command with what is below it."""
    pages = {"reclass.1": _man_overview()}
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        pages[f"reclass-{name}.1"] = _man_page(name, command)
    return pages


def _man_overview() -> str:
    lines = [*_man_head("reclass", cli.help or ""), ".SH SYNOPSIS", ".B reclass", "[\\fICOMMAND\\fR] [\\fIOPTIONS\\fR]"]
    lines += [".SH DESCRIPTION", *_filled(cli.help or "")]
    lines += [".PP", *_filled("stdout is data, stderr is progress. Every command has a page of its own:"), ".PP"]
    lines += [".B man reclass\\-scan", ".SH COMMANDS"]
    for title, names in GROUPS.items():
        lines += [f".SS {_roff(title)}"]
        for name in names:
            lines += _entry(_bold(f"reclass-{name}") + "(1)", COMMANDS[name][1])
    rows = re.findall(
        r"(?m)^\| (\d+) \| (.*?) \|$", JSON_PAGE.read_text(encoding="utf-8").partition("## Exit codes")[2]
    )
    lines += [".SH EXIT STATUS", *(line for code, text in rows for line in _entry(_bold(code), text))]
    lines += [".SH ENVIRONMENT"]
    for name in Settings.__dataclass_fields__:
        lines += _entry(_bold(f"RECLASS_{name.upper()}"), declared(name).metadata["meaning"])
    lines += _entry(_bold("RECLASS_MODELS"), "Where downloaded models lie.")
    lines += _entry(_bold("NO_COLOR"), "No colours.")
    lines += [".SH FILES", *(line for path, text in FILES for line in _entry(_italic(path), text))]
    return "\n".join([*lines, ""])


def _man_page(name: str, command: click.Command) -> str:
    lines = _man_head(f"reclass-{name}", COMMANDS[name][1])
    parts = [(f"reclass {name}", command)]
    if isinstance(command, click.Group):
        parts = [*([] if not command.invoke_without_command else parts), *sorted(leaves(command, f"reclass {name}"))]
    lines.append(".SH SYNOPSIS")
    for title, part in parts:
        words = [f"[{_italic('OPTIONS')}]", *map(_roff, _arguments(part))]
        lines += [f".B {_roff(title)}", " ".join(words), *([".br"] if part is not parts[-1][1] else [])]
    if len(parts) == 1:
        title, part = parts[0]
        lines += [".SH DESCRIPTION", *_filled(part.help or ""), ".SH OPTIONS", *_man_options(part)]
    else:
        lines += [".SH DESCRIPTION", *_filled(command.help or ""), ".SH COMMANDS"]
        for title, part in parts:
            lines += [f".SS {_roff(title)}", *_filled(part.help or ""), *_man_options(part)]
    return "\n".join([*lines, ".SH SEE ALSO", ".BR reclass (1)", ""])


def _man_head(name: str, about: str) -> list[str]:
    about = " ".join(about.split()).partition(". ")[0].rstrip(".")
    title = f'.TH {_roff(name.upper())} 1 "" "reclass {__version__}" "reclass"'
    return [title, ".SH NAME", f"{_roff(name)} \\- {_roff(about[:1].lower() + about[1:])}"]


def _man_options(command: click.Command) -> list[str]:
    lines = []
    for option in (one for one in command.params if isinstance(one, click.Option) and not one.hidden):
        flags, _, text = _row(option).strip("| ").replace("\\|", "|").partition(" | ")
        text = text.partition("; one of `")[0]  # the metavar has them
        value = "" if option.is_flag or option.count else f" {_italic(option.make_metavar(click.Context(command)))}"
        lines += _entry(", ".join(_bold(flag.strip("` ")) for flag in flags.split(",")) + value, text or ".")
    return [*lines, *_entry(", ".join(map(_bold, ("-h", "--help"))), "Help.")]


def _entry(term: str, text: str) -> list[str]:
    """A term of a list and what it means."""
    return [".TP", term, *_filled(text)]


def _filled(text: str) -> list[str]:
    """Words of a paragraph as lines that roff fills again."""
    words = " ".join(text.replace("`", "").split())
    return [_roff(line) for line in textwrap.wrap(words, 76, break_on_hyphens=False, break_long_words=False)]


def _roff(text: str) -> str:
    """Text as roff takes it: nothing of it is a request, and a hyphen can be searched for."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _bold(text: str) -> str:
    return f"\\fB{_roff(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{_roff(text)}\\fR"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    SETTINGS_PAGE.write_text(settings_page(), encoding="utf-8")
    made = man_pages()
    MAN.mkdir(exist_ok=True)
    for path in MAN.glob("*.1"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (MAN / name).write_text(text, encoding="utf-8")
