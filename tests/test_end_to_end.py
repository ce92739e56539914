"""The main job: a folder in, tagged files out, and every byte back."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from music_reclass.cli import session
from music_reclass.tagging.read import read_tags
from tests.library import Shell, digests


def test_scan_writes_and_undo_gives_every_byte_back(music: Path, shell: Shell) -> None:
    before = digests(music)
    assert shell("scan", music, "--yes", "--json") == 0
    first = shell.by_name()
    assert len(first) == len(before)
    written = {name for name, item in first.items() if item["written"]}
    assert len(written) >= 4, "the demo's tunes are made to be recognised"
    for item in first.values():
        changed = digests(music)[os.path.relpath(item["path"], music)] != before[os.path.relpath(item["path"], music)]
        assert changed == item["written"]
        if item["written"]:
            assert list(read_tags(Path(item["path"])).genres or ()) == item["genres"]
            assert item["relation"] in {"fill", "junk"}
            assert item["outcome"] in {"confident", "likely"}
    assert shell("undo", "--yes", "--json") == 0
    assert {item["result"] for item in shell.objects()} == {"restored"}
    assert digests(music) == before
    assert not list(music.rglob(".*"))


def test_a_dry_run_and_a_scan_without_terminal_write_nothing(scanned: Path, shell: Shell) -> None:
    before = digests(scanned)
    assert shell("scan", scanned, "--dry-run") == 0
    assert "Nothing was written (dry run)." in shell.out
    assert shell("scan", scanned) == 0
    assert "Nothing was written. To write" in shell.out
    assert digests(scanned) == before


def test_what_is_known_is_not_read_again_and_moved_files_are_recognised(music: Path, shell: Shell) -> None:
    assert shell("scan", music, "--dry-run", "--json") == 0
    first = shell.by_name()
    assert shell("scan", music, "--dry-run") == 0
    assert "11 tracks, all known." in shell.out
    (music / "Ida Quill").rename(music / "Renamed")
    assert shell("scan", music, "--dry-run", "--json") == 0
    assert {name: item["votes"] for name, item in shell.by_name().items()} == {
        name: item["votes"] for name, item in first.items()
    }
    with sqlite3.connect(shell.db) as sql:
        assert sql.execute("SELECT count(*) FROM track").fetchone() == (11,)


def test_after_our_own_write_and_undo_nothing_is_read_again(scanned: Path, shell: Shell) -> None:
    shell("scan", scanned, "--yes")
    shell("scan", scanned, "--dry-run")
    assert "11 tracks, all known." in shell.out
    shell("undo", "--yes")
    shell("scan", scanned, "--dry-run")
    assert "11 tracks, all known." in shell.out


def test_apply_writes_what_an_earlier_scan_decided(scanned: Path, shell: Shell) -> None:
    shell("scan", scanned, "--dry-run", "--json")
    planned = {item["path"] for item in shell.objects() if item["action"] == "write"}
    assert shell("apply", scanned / "Grid Nine", "--yes", "--json") == 0
    written = {item["path"] for item in shell.objects() if item["written"]}
    assert written == {path for path in planned if "Grid Nine" in path}
    assert shell("apply", "--yes", "--json") == 0
    assert {item["path"] for item in shell.objects() if item["written"]} == planned - written


def test_a_file_edited_after_the_scan_is_not_overwritten(scanned: Path, shell: Shell) -> None:
    shell("scan", scanned, "--dry-run", "--json")
    target = next(Path(item["path"]) for item in shell.objects() if item["action"] == "write")
    os.utime(target, ns=(1, 1))
    content = target.read_bytes()
    assert shell("apply", "--yes", "--json") == 1
    assert "changed" in shell.by_name()[target.name]["problem"]
    assert target.read_bytes() == content


def test_two_runs_are_taken_back_one_after_the_other(scanned: Path, shell: Shell) -> None:
    before = digests(scanned)
    shell("scan", scanned / "Grid Nine", "--yes")
    middle = digests(scanned)
    shell("scan", scanned, "--yes", "--on-existing", "replace")
    assert digests(scanned) != middle
    assert shell("undo", "--yes") == 0
    assert digests(scanned) == middle
    assert shell("undo", "--yes") == 0
    assert digests(scanned) == before
    assert shell("undo", "--yes") == 3
    assert shell("history", "--json") == 0
    assert [item["command"] for item in shell.objects()] == ["scan", "scan", "undo", "undo"]


def test_a_moved_file_is_undone_where_it_is_now(scanned: Path, shell: Shell) -> None:
    before = digests(scanned)
    shell("scan", scanned, "--yes")
    (scanned / "Grid Nine").rename(scanned / "Elsewhere")
    shell("scan", scanned, "--dry-run")
    assert shell("undo", "--yes") == 0
    (scanned / "Elsewhere").rename(scanned / "Grid Nine")
    assert digests(scanned) == before


def test_keep_and_replace_and_the_guard_against_coarsening(scanned: Path, shell: Shell) -> None:
    shell("scan", scanned, "--dry-run", "--json", "--on-existing", "replace-conflict")
    finer = shell.by_name()["04 Clock Out.wma"]
    assert (finer["before"], finer["relation"], finer["action"]) == (["Techno"], "agree", "keep")
    shell("scan", scanned, "--dry-run", "--json", "--on-existing", "keep")
    assert {item["relation"] for item in shell.objects() if item["action"] == "write"} == {"fill"}
    shell("scan", scanned, "--dry-run", "--json", "--on-existing", "replace")
    assert shell.by_name()["04 Clock Out.wma"]["action"] == "write"


def test_status_explain_export_and_audit_agree_with_the_scan(music: Path, shell: Shell, tmp_path: Path) -> None:
    shell("scan", music, "--dry-run", "--json")
    scanned = shell.by_name()
    assert shell("status", "--json") == 0
    (status,) = shell.objects()
    assert status["tracks"] == 11
    assert sum(status["outcomes"].values()) == 11
    assert shell("export", "--format", "jsonl") == 0
    assert {n: i["genres"] for n, i in shell.by_name().items()} == {n: i["genres"] for n, i in scanned.items()}
    assert shell("export", "--format", "csv", "--out", tmp_path / "all.csv") == 0
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 12
    assert shell("export", "--format", "m3u", "--out", tmp_path / "lists") == 0
    listed = [line for file in (tmp_path / "lists").glob("*.m3u8") for line in file.read_text().splitlines()]
    sure = [item for item in scanned.values() if item["genres"]]
    assert sum(not line.startswith("#") for line in listed) == len(sure)
    assert shell("genres", "audit", "--json") == 0
    found = {item["value"]: item["status"] for item in shell.objects()}
    assert found["Other"] == found["genre"] == "junk"
    assert found["Techno"] == "mapped"
    for name, item in list(scanned.items())[:4]:
        assert shell("explain", item["path"], "--json") == 0
        (account,) = shell.objects()
        assert (account["genres"], account["outcome"]) == (item["genres"], item["outcome"]), name
    assert shell("explain", item["path"]) == 0
    assert "decision" in shell.out


def test_explain_listens_to_a_file_the_library_does_not_know(music: Path, shell: Shell) -> None:
    assert shell("explain", music / "Grid Nine" / "Night Shift" / "03 Sparks.aiff", "--json") == 0
    (account,) = shell.objects()
    assert account["in_library"] is False
    assert set(account["votes"]) == {"content", "fma518"}
    assert not shell.db.exists()


def test_a_taxonomy_of_ones_own_decides_again_without_reading(scanned: Path, shell: Shell, tmp_path: Path) -> None:
    shell("scan", scanned, "--dry-run", "--json")
    before = shell.by_name()
    (tmp_path / "own.toml").write_text('[output]\nElectronic = "Electronica"\n')
    (tmp_path / "config.toml").write_text(f'taxonomy = "{tmp_path / "own.toml"}"\n')
    shell("scan", scanned, "--dry-run", "--json", "--config", tmp_path / "config.toml")
    after = shell.by_name()
    for name, item in before.items():
        assert after[name]["genres"] == [{"Electronic": "Electronica"}.get(genre, genre) for genre in item["genres"]]
        assert after[name]["votes"] == item["votes"]


def test_features_and_predict_agree_with_the_scan(music: Path, shell: Shell, tmp_path: Path) -> None:
    import numpy as np

    from music_reclass.cli.main import run
    from music_reclass.extractors.fma518 import COLUMNS

    paths = sorted((music / "Grid Nine" / "Night Shift").iterdir())
    shell.capture.readouterr()
    assert run(["features", *map(str, paths), "--kind", "fma518", "--excerpt", "mid30", "--json"]) == 0
    shell.out, shell.err = shell.capture.readouterr()
    items = shell.objects()
    assert [item["path"] for item in items] == [str(path) for path in paths]
    np.savez(tmp_path / "t.npz", fma518=np.array([i["vector"] for i in items], np.float32), columns=np.array(COLUMNS))
    assert run(["predict", "--table", str(tmp_path / "t.npz"), "--json"]) == 0
    shell.out, shell.err = shell.capture.readouterr()
    predicted = shell.objects()
    shell("scan", music, "--dry-run", "--json")
    scanned = shell.by_name()
    for path, item in zip(paths, predicted, strict=True):
        votes = scanned[path.name]["votes"]["fma518"]
        assert item["genre"] == max(votes, key=votes.get)
        assert item["probabilities"] == pytest.approx(votes, abs=2e-4)


def test_a_deleted_file_is_missing_and_its_row_stays(music: Path, shell: Shell) -> None:
    shell("scan", music, "--dry-run")
    shutil.rmtree(music / "Grid Nine")
    shell("scan", music, "--dry-run")
    assert "4 gone" in shell.out
    shell("status", "--json")
    (status,) = shell.objects()
    assert (status["tracks"], status["missing"]) == (7, 4)


@pytest.fixture
def all_is_music(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sound is decided as music, a few seconds of a drum machine too."""
    monkeypatch.setattr(session, "content_bundles", lambda settings: [])


def flac_twins(folder: Path, first: list[str] | None, second: list[str] | None) -> tuple[Path, Path]:
    """Two files with the same sound and other tags."""
    from mutagen.flac import FLAC

    from music_reclass.extractors.audio.synthesis import encode, machine

    folder.mkdir()
    paths = folder / "a.flac", folder / "z.flac"
    for path, genres in zip(paths, (first, second), strict=True):
        encode(path, machine(201))
        file = FLAC(path)
        file["title"] = path.stem
        if genres is not None:
            file["genre"] = genres
        file.save()
    return paths


@pytest.mark.usefixtures("all_is_music")
def test_undo_never_touches_another_copy_of_the_same_sound(tmp_path: Path, shell: Shell) -> None:
    written, other = flac_twins(tmp_path / "m", ["Other"], ["Electronic"])
    content = other.read_bytes()
    shell("scan", tmp_path / "m", "--yes", "--json", "--no-album")
    assert shell.by_name()["a.flac"]["written"]
    written.unlink()
    assert shell("undo", "--yes", "--json") == 1
    assert [item["result"] for item in shell.objects()] == ["failed"]
    assert other.read_bytes() == content


@pytest.mark.usefixtures("all_is_music")
def test_undo_restores_each_of_two_copies_by_itself(tmp_path: Path, shell: Shell) -> None:
    kept, removed = flac_twins(tmp_path / "m", ["Other"], ["Unknown"])
    content = kept.read_bytes()
    shell("scan", tmp_path / "m", "--yes", "--json", "--no-album")
    assert all(item["written"] for item in shell.objects())
    removed.unlink()
    assert shell("undo", "--yes", "--json") == 1
    assert {Path(item["path"]).name: item["result"] for item in shell.objects()} == {
        "a.flac": "restored", "z.flac": "failed",
    }  # fmt: skip
    assert kept.read_bytes() == content


@pytest.mark.usefixtures("all_is_music")
def test_a_flac_without_a_comment_block_is_tagged_and_restored(tmp_path: Path, shell: Shell) -> None:
    from mutagen.flac import FLAC

    path, _ = flac_twins(tmp_path / "m", None, None)
    FLAC(path).delete()
    content = path.read_bytes()
    shell("scan", path, "--yes", "--json")
    (item,) = shell.objects()
    assert item["written"], item
    assert list(read_tags(path).genres or ()) == item["genres"]
    assert shell("undo", "--yes") == 0
    assert path.read_bytes() == content


@pytest.mark.usefixtures("all_is_music")
def test_a_genre_field_of_any_length_costs_no_time(tmp_path: Path, shell: Shell) -> None:
    many = "; ".join(f"tag {number}" for number in range(5000))
    flac_twins(tmp_path / "m", [many, *(f"Other {number}" for number in range(300))], ["X" * 1_000_000])
    content = digests(tmp_path / "m")
    assert shell("scan", tmp_path / "m", "--yes", "--json") == 0
    assert not any(item["written"] for item in shell.objects())
    assert digests(tmp_path / "m") == content
    assert shell("genres", "audit", "--json") == 0


def test_a_run_that_wrote_nothing_offers_no_way_back(scanned: Path, shell: Shell) -> None:
    for path in scanned.rglob("*.*"):
        path.chmod(0o444)
    assert shell("scan", scanned, "--yes") == 1
    assert "0 files" in shell.out
    assert "take it back" not in shell.out
