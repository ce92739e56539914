"""How much memory is free, on machines that say so in different ways or not at all."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.config import Settings
from music_reclass.errors import UsageError
from music_reclass.extractors import memory

GIB = 1024**3
MEMINFO = "MemTotal:       32768000 kB\nMemFree:          102400 kB\nMemAvailable:   20480000 kB\n"


LEFT = 20480000 * 1024


@pytest.fixture
def machine(tmp_path):
    """Writes what a machine says: its memory, the control groups of this process, and the files of groups."""
    (tmp_path / "proc" / "self").mkdir(parents=True)

    def says(membership="", **files):
        (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
        (tmp_path / "proc" / "self" / "cgroup").write_text(membership)
        for path, text in files.items():
            file = tmp_path / "cgroup" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return memory.available_bytes(tmp_path / "proc", tmp_path / "cgroup")

    return says


def test_available_memory_counts_the_page_cache(machine):
    assert machine() == LEFT


def test_a_container_has_what_its_limit_leaves_and_its_page_cache(machine):
    files = {"memory.max": f"{2 * GIB}\n", "memory.current": f"{GIB}\n"}
    assert machine("0::/\n", **files) == GIB
    assert machine("0::/\n", **{"memory.stat": "anon 5\ninactive_file 1048576\n"}) == GIB + 1048576


def test_a_container_without_a_limit_has_what_the_machine_has(machine):
    assert machine("0::/\n", **{"memory.max": "max\n", "memory.current": "5\n"}) == LEFT


def test_a_service_with_a_limit_has_what_that_leaves_though_the_root_has_none(machine):
    files = {
        "memory.max": "max\n",
        "system.slice/reclass.service/memory.max": f"{3 * GIB}\n",
        "system.slice/reclass.service/memory.current": f"{GIB}\n",
    }
    assert machine("0::/system.slice/reclass.service\n", **files) == 2 * GIB


def test_the_limit_of_a_group_above_counts_and_so_does_the_level_from_which_the_kernel_slows_down(machine):
    files = {
        "user.slice/memory.high": f"{2 * GIB}\n",
        "user.slice/memory.current": f"{GIB // 2}\n",
        "user.slice/own.scope/memory.max": f"{9 * GIB}\n",
        "user.slice/own.scope/memory.current": "1\n",
    }
    assert machine("0::/user.slice/own.scope\n", **files) == 3 * GIB // 2


def test_control_groups_of_version_1_are_read_too_by_their_own_path(machine):
    own = "memory/docker/abc"
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": f"{4 * GIB}\n",
        f"{own}/memory.limit_in_bytes": f"{2 * GIB}\n",
        f"{own}/memory.usage_in_bytes": f"{GIB}\n",
        f"{own}/memory.stat": "cache 1\ntotal_inactive_file 4096\n",
    }
    assert machine("9:cpu:/\n4:memory,hugetlb:/docker/abc\n0::/\n", **files) == GIB + 4096


def test_a_group_that_is_over_its_limit_leaves_nothing(machine):
    assert machine("0::/\n", **{"memory.max": "5\n", "memory.current": "9\n"}) == 0


def test_a_system_that_does_not_tell_still_gives_a_number(tmp_path):
    assert memory.available_bytes(tmp_path / "none", tmp_path) > 0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4GiB", 4 * GIB), ("4G", 4 * GIB), ("4 gib", 4 * GIB), ("1.5GiB", 3 * GIB // 2), ("4GB", 4 * 10**9),
        ("512MiB", GIB // 2), ("4096", 4096), ("0.5", 4 * GIB), ("50%", 4 * GIB), ("1", 8 * GIB), ("100%", 8 * GIB),
    ],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(text, count):
    assert memory.parse_bytes(text, 8 * GIB) == count


@pytest.mark.parametrize("text", ["", "much", "-4GiB", "0", "120%", "4 apples", "1.5", "0.5"])
def test_other_words_are_refused_with_an_example(text):
    with pytest.raises(UsageError, match="4GiB"):
        memory.parse_bytes(text)


@settings(deadline=None)
@given(st.integers(2, 1 << 50))
def test_bytes_are_bytes(count):
    assert memory.parse_bytes(str(count)) == count


def test_bytes_for_people():
    assert [memory.readable(n) for n in (512, 2048, 3 * GIB // 2)] == ["512 B", "2.0 KiB", "1.5 GiB"]


class NotSupported(Exception):
    pass


def nvml(**answers):
    """A module like pynvml: a question that is not among the answers is not supported."""

    def ask(name):
        def question(*_):
            if name not in answers:
                raise NotSupported
            return answers[name]

        return question

    names = ("nvmlInit", "nvmlShutdown", "nvmlSystemGetDriverVersion", "nvmlDeviceGetHandleByUUID",
             "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetUtilizationRates")  # fmt: skip
    return SimpleNamespace(NVMLError=NotSupported, **{name: ask(name) for name in names})


def test_nvml_that_answers_everything():
    module = nvml(
        nvmlInit=None, nvmlShutdown=None, nvmlSystemGetDriverVersion=b"560.1", nvmlDeviceGetHandleByUUID=object(),
        nvmlDeviceGetMemoryInfo=SimpleNamespace(total=8, free=5),
        nvmlDeviceGetUtilizationRates=SimpleNamespace(gpu=30),
    )  # fmt: skip
    assert memory.ask_nvml(module, "abc") == memory.NvmlReading("560.1", 8, 5, 30)


def test_nvml_that_knows_only_its_driver_as_on_a_jetson():
    module = nvml(nvmlInit=None, nvmlShutdown=None, nvmlSystemGetDriverVersion="540.4.0")
    assert memory.ask_nvml(module, "abc") == memory.NvmlReading("540.4.0")


def test_nvml_with_a_handle_but_no_memory_as_on_unified_memory():
    module = nvml(nvmlInit=None, nvmlDeviceGetHandleByUUID=object())
    assert memory.ask_nvml(module, "abc") == memory.NvmlReading()


def test_nvml_that_does_not_start_is_not_there():
    assert memory.ask_nvml(nvml(), "abc") is None


def test_no_nvidia_driver_is_no_error():
    assert memory.nvml_reading("abc") in (None, memory.NvmlReading()) or memory.nvml_reading("abc").free is None


@pytest.mark.parametrize(
    ("jobs", "cores", "gigabytes", "workers"),
    [(0, 2, 23.0, 2), (0, 64, 23.0, 64), (0, 64, 7.1, 20), (0, 6, 0.1, 1), (3, 64, 0.1, 3)],
)
def test_there_is_a_worker_for_each_core_that_has_memory_for_it_unless_somebody_says_how_many(
    jobs, cores, gigabytes, workers, monkeypatch
):
    monkeypatch.setattr(memory, "usable_cores", lambda: cores)
    monkeypatch.setattr(memory, "available_bytes", lambda: int(gigabytes * 10**9))
    assert memory.workers_for(Settings(jobs=jobs)) == workers
