"""Write the reference of commands and of settings from the commands and settings themselves:
`python docs/make_commands.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from music_reclass.cli.main import cli
from music_reclass.config import Settings, declared, shown_default

PAGE = Path(__file__).resolve().parent / "reference" / "commands.md"
SETTINGS_PAGE = PAGE.with_name("configuration.md")
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
    words = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            shown = (parameter.human_readable_name or "") + ("..." if parameter.nargs == -1 else "")
            words.append(shown if parameter.required else f"[{shown}]")
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


def _is_shared(option: click.Option) -> bool:
    return _name(option) in ("--config", "--db", "--dry-run", "--json", "--yes")


def _name(option: click.Option) -> str:
    return next(name for name in option.opts if name.startswith("--"))


def _row(option: click.Option) -> str:
    flags = [*option.opts, *option.secondary_opts]
    flags.sort(key=lambda name: (name.startswith("--"), name))
    text = " ".join((option.help or "").split()).rstrip(".").replace("|", "\\|")
    if option.show_default and option.default is not None and not isinstance(option.default, bool):
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


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    SETTINGS_PAGE.write_text(settings_page(), encoding="utf-8")
