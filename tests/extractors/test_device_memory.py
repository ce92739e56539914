"""How much memory is free, on machines that say so in different ways or not at all."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.errors import UsageError
from music_reclass.extractors import device

GIB = 1024**3
MEMINFO = "MemTotal:       32768000 kB\nMemFree:          102400 kB\nMemAvailable:   20480000 kB\n"


def test_available_memory_counts_the_page_cache(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert device.available_bytes(tmp_path / "meminfo", tmp_path / "none") == 20480000 * 1024


def test_a_container_has_what_its_limit_leaves(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "memory.max").write_text("2147483648\n")
    (tmp_path / "memory.current").write_text("1073741824\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 1048576\n")
    assert device.available_bytes(tmp_path / "meminfo", tmp_path) == GIB + 1048576


def test_a_container_without_a_limit_has_what_the_machine_has(tmp_path):
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "memory.max").write_text("max\n")
    assert device.available_bytes(tmp_path / "meminfo", tmp_path) == 20480000 * 1024


def test_a_system_that_does_not_tell_still_gives_a_number(tmp_path):
    assert device.available_bytes(tmp_path / "none", tmp_path) > 0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4GiB", 4 * GIB), ("4G", 4 * GIB), ("4 gib", 4 * GIB), ("1.5GiB", 3 * GIB // 2), ("4GB", 4 * 10**9),
        ("512MiB", GIB // 2), ("4096", 4096), ("0.5", 4 * GIB), ("50%", 4 * GIB), ("1", 8 * GIB), ("100%", 8 * GIB),
    ],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(text, count):
    assert device.parse_bytes(text, 8 * GIB) == count


@pytest.mark.parametrize("text", ["", "much", "-4GiB", "0", "120%", "4 apples", "1.5", "0.5"])
def test_other_words_are_refused_with_an_example(text):
    with pytest.raises(UsageError, match="4GiB"):
        device.parse_bytes(text)


@settings(deadline=None)
@given(st.integers(2, 1 << 50))
def test_bytes_are_bytes(count):
    assert device.parse_bytes(str(count)) == count


def test_bytes_for_people():
    assert [device.readable(n) for n in (512, 2048, 3 * GIB // 2)] == ["512 B", "2.0 KiB", "1.5 GiB"]


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
    assert device.ask_nvml(module, "abc") == device.NvmlReading("560.1", 8, 5, 30)


def test_nvml_that_knows_only_its_driver_as_on_a_jetson():
    module = nvml(nvmlInit=None, nvmlShutdown=None, nvmlSystemGetDriverVersion="540.4.0")
    assert device.ask_nvml(module, "abc") == device.NvmlReading("540.4.0")


def test_nvml_with_a_handle_but_no_memory_as_on_unified_memory():
    module = nvml(nvmlInit=None, nvmlDeviceGetHandleByUUID=object())
    assert device.ask_nvml(module, "abc") == device.NvmlReading()


def test_nvml_that_does_not_start_is_not_there():
    assert device.ask_nvml(nvml(), "abc") is None


def test_no_nvidia_driver_is_no_error():
    assert device.nvml_reading("abc") in (None, device.NvmlReading()) or device.nvml_reading("abc").free is None
