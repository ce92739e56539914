"""Network mounts are recognised."""

from pathlib import Path

from music_reclass.utils.files import is_network_mount

MOUNTS = """/dev/sda1 / ext4 rw 0 0
nas:/music /mnt/nas nfs4 rw 0 0
//box/share /mnt/with\\040space cifs rw 0 0
/dev/sdb1 /mnt/nas/local ext4 rw 0 0
"""


def test_the_innermost_mount_decides(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert is_network_mount(Path("/mnt/nas/albums"), mounts)
    assert is_network_mount(Path("/mnt/with space/x"), mounts)
    assert not is_network_mount(Path("/mnt/nas/local/x"), mounts)
    assert not is_network_mount(Path("/mnt/nasty"), mounts)
    assert not is_network_mount(Path("/home"), mounts)


def test_a_system_that_does_not_tell_counts_as_local(tmp_path: Path) -> None:
    assert not is_network_mount(tmp_path, tmp_path / "absent")
