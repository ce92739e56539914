"""Which kinds of mount are a network's, and how odd mount points are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from music_reclass.utils.files import NETWORK_TYPES, is_network_mount


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mounts"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize("kind", sorted(NETWORK_TYPES))
def test_every_kind_of_share_is_a_network(kind: str, tmp_path: Path) -> None:
    mounts = table(tmp_path, f"/dev/sda / ext4 rw 0 0\nserver:/x /mnt/share {kind} rw 0 0\n")
    assert is_network_mount(Path("/mnt/share/library.sqlite3"), mounts)
    assert is_network_mount(Path("/mnt/share"), mounts)
    assert not is_network_mount(Path("/mnt"), mounts)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "fuseblk", "overlay", "zfs", "vfat"])
def test_disks_of_this_machine_are_none(kind: str, tmp_path: Path) -> None:
    assert not is_network_mount(Path("/mnt/disk/x"), table(tmp_path, f"/dev/sdb /mnt/disk {kind} rw 0 0\n"))


def test_a_root_that_is_a_share_holds_everything_that_is_not_mounted_over_it(tmp_path: Path) -> None:
    mounts = table(tmp_path, "server:/ / nfs rw 0 0\n/dev/sda /home ext4 rw 0 0\n")
    assert is_network_mount(Path("/var/lib/x"), mounts)
    assert not is_network_mount(Path("/home/ida/x"), mounts)


def test_what_was_mounted_last_on_one_place_counts(tmp_path: Path) -> None:
    mounts = table(tmp_path, "server:/x /mnt/a nfs4 rw 0 0\n/dev/sdb /mnt/a ext4 rw 0 0\n")
    assert not is_network_mount(Path("/mnt/a/x"), mounts)


def test_tabs_backslashes_and_blanks_in_a_mount_point_are_read(tmp_path: Path) -> None:
    mounts = table(tmp_path, "//box/s /mnt/a\\040b\\011c\\134d cifs rw 0 0\n")
    assert is_network_mount(Path("/mnt/a b\tc\\d/x"), mounts)


def test_lines_that_are_no_mounts_are_passed_over(tmp_path: Path) -> None:
    mounts = table(tmp_path, "\n# comment\nnfs\nserver:/x /mnt/\udcff nfs rw 0 0\n")
    assert not is_network_mount(Path("/mnt/x"), mounts)


def test_a_link_into_a_share_lies_on_the_share(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share", target_is_directory=True)
    mounts = table(tmp_path, f"/dev/sda / ext4 rw 0 0\nserver:/x {(tmp_path / 'share').resolve()} cifs rw 0 0\n")
    assert is_network_mount(tmp_path / "link" / "library.sqlite3", mounts)
