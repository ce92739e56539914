"""Network mounts are recognised."""

from pathlib import Path

from music_reclass.utils.files import is_network_mount, silent_places

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


def test_shares_give_no_events_at_a_folder_or_below_it(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        MOUNTS + "merged /srv/pool fuse.mergerfs rw 0 0\nhost /mnt/vm vboxsf rw 0 0\n"
        "/dev/sdc1 /mnt/usb fuseblk rw 0 0\n/dev/sdd1 /srv/pool/ssd ext4 rw 0 0\n"
    )
    assert silent_places("/mnt/nas/albums", mounts) == {"/mnt/nas/albums": "nfs4"}
    assert silent_places("/srv/pool", mounts) == {"/srv/pool": "fuse.mergerfs"}
    assert silent_places("/srv/pool/ssd/x", mounts) == {}
    assert silent_places("/mnt/usb", mounts) == {}
    assert silent_places("/mnt", mounts) == {"/mnt/nas": "nfs4", "/mnt/with space": "cifs", "/mnt/vm": "vboxsf"}
    assert silent_places("/mnt", tmp_path / "absent") == {}
