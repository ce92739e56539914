"""The command that decides a library again."""

import json
from pathlib import Path

from tests.library import Shell


def test_a_dry_run_shows_from_what_to_what_and_leaves_the_file(music: Path, shell: Shell, tmp_path: Path) -> None:
    shell("scan", music / "Grid Nine", "--dry-run", "--json")
    decided = [tuple(item["genres"]) for item in shell.objects()]
    shown = next(genres for genres in decided if genres)
    file = tmp_path / "taxonomy.toml"
    file.write_text(f'[output]\n{json.dumps(shown[0])} = "Zydeco Noir"\n')
    before = shell.db.read_bytes()

    assert shell("relabel", "-n", "--taxonomy", file) == 0
    assert f"{shown[0]} -> Zydeco Noir" in shell.out
    assert "nothing was stored" in shell.out
    assert shell("relabel", "--dry-run", "--taxonomy", file, "--json") == 0
    (found,) = shell.objects()
    assert found["dry_run"] is True
    assert {"before": list(shown), "after": ["Zydeco Noir"], "tracks": decided.count(shown)} in found["changes"]
    assert found["changed"] == sum(change["tracks"] for change in found["changes"])
    assert shell.db.read_bytes() == before
    assert shell("relabel", "--taxonomy", file, "--json") == 0
    assert shell.objects()[0]["changes"] == found["changes"]


def test_what_changed_is_said_and_no_tag_is_written(music: Path, shell: Shell) -> None:
    shell("scan", music / "Grid Nine", "--dry-run")
    assert shell("relabel", "--max-genres", "2", "--json") == 0
    assert shell.objects()[0]["decided"] == len(list((music / "Grid Nine").rglob("*.*")))
    assert shell("relabel") == 0
    assert "have another genre now" in shell.out
    shell.db.unlink()
    assert shell("relabel") == 3
