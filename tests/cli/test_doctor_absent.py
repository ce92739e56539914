"""`doctor` on an installation that lacks something: each check by itself, the others go on, the exit code is 1."""

from __future__ import annotations

import sys
from importlib import metadata, util
from pathlib import Path

import pytest

from music_reclass.cli import doctor
from music_reclass.errors import BundleError, FailTrack
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell

CHECKS = ["reclass", "packages", "decoders", "self-test", "model", "heads", "workers", "database", "learned", "extras"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_self_test", lambda: "read back")


def checks(shell: Shell, *words: str | Path) -> dict[str, tuple[bool, str]]:
    shell("doctor", "--json", *words)
    assert all(set(one) == {"check", "ok", "detail"} for one in shell.objects())
    return {one["check"]: (one["ok"], one["detail"]) for one in shell.objects()}


def test_an_installation_that_is_whole_has_every_check_and_exit_code_0(shell: Shell) -> None:
    found = checks(shell)
    assert list(found) == CHECKS
    assert all(fine for fine, _ in found.values())
    assert shell.codes == [0]
    assert found["database"][1] == f"{shell.db} (none yet; the first scan makes it)"
    assert not shell.db.exists()
    assert shell("doctor") == 0
    assert [line.split()[0] for line in shell.out.splitlines()] == CHECKS


def test_an_absent_decoder_is_one_failed_check(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    found = checks(shell)
    assert [name for name, (fine, _) in found.items() if not fine] == ["decoders"]
    assert "av" in found["decoders"][1]
    assert shell.codes == [1]
    assert shell("doctor") == 1
    (line,) = [line for line in shell.out.splitlines() if line.startswith("decoders")]
    assert "! " in line


def test_an_absent_package_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def lacking(name: str) -> str:
        if name == "soxr":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", lacking)
    fine, detail = checks(shell)["packages"]
    assert not fine
    assert "soxr" in detail


@pytest.mark.parametrize(
    ("check", "error"),
    [
        ("_self_test", FailTrack("decode", "frame 1")),
        ("_model", BundleError("The bundle is damaged.")),
        ("_decoders", OSError(5, "Input/output error")),
    ],
)
def test_what_a_check_raises_is_its_result_and_the_others_go_on(
    check: str, error: Exception, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr(doctor, check, fail)
    found = checks(shell)
    name = check.strip("_").replace("_", "-")
    assert found[name] == (False, str(error))
    assert [other for other, (fine, _) in found.items() if not fine] == [name]
    assert list(found) == CHECKS


def test_the_stages_of_a_scan_are_named_and_those_that_cannot_run(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "none"))
    assert checks(shell)["model"][1].endswith("; cannot run here: efficientat")
    monkeypatch.setattr("music_reclass.cli.session._obstacle", lambda bundle: None)
    found = checks(shell)["model"][1]
    assert "; then efficientat-mlp 1, digest " in found
    assert "cannot run" not in found


def test_codecs_that_ffmpeg_was_built_without_are_named_and_no_failure(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"ape", "mpc8"})
    fine, detail = checks(shell)["decoders"]
    assert fine
    assert "not built in: ape, mpc8" in detail


def test_extras_are_named_with_what_would_install_them_and_never_fail(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: name == "torch" or None)
    fine, detail = checks(shell)["extras"]
    assert fine
    assert detail.startswith("installed: torch; not installed: sklearn (music_reclass[train]), ")
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert "installed: none;" in checks(shell)["extras"][1]


def test_a_library_is_counted_and_one_that_is_none_fails(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"), Tune("b.mp3"))
    fine, detail = checks(shell)["database"]
    assert fine
    assert "2 tracks, " in detail
    assert "GB free" in detail
    shell.db.write_text("not a database, however long this text may be made" * 100)
    fine, detail = checks(shell)["database"]
    assert not fine
    assert shell.db.name in detail
    assert shell.codes[-1] == 1


def test_a_library_on_a_share_is_said_to_be_slower(
    library: DecidedLibrary, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(Tune("a.mp3"))
    monkeypatch.setattr("music_reclass.utils.files.is_network_mount", lambda path: path == shell.db.parent)
    fine, detail = checks(shell)["database"]
    assert fine
    assert "on a network share" in detail


def test_the_settings_that_hold_are_shown_wherever_they_come_from(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("jobs = 3\ntimeout = 7.5\n")
    assert (
        checks(shell, "--config", tmp_path / "config.toml")["workers"][1] == "3 processes, 7.5 s for one file at most"
    )
    monkeypatch.setenv("RECLASS_JOBS", "5")
    assert checks(shell, "--config", tmp_path / "config.toml")["workers"][1].startswith("5 processes, 7.5 s")
    assert shell("doctor", "--config", tmp_path / "absent.toml") == 2
    assert "does not exist" in shell.err
