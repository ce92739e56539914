"""Decoders are silenced, and nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from music_reclass.extractors.audio.sndfile import quiet


def test_the_block_swallows_what_is_written_past_python(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with quiet():
        os.write(2, b"chatter ")
        with quiet():
            os.write(2, b"more chatter ")
        os.write(2, b"still chatter ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_blocks_may_overlap_in_threads(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        for _ in range(200):
            with quiet():
                os.write(2, b"chatter")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_an_error_inside_gives_the_descriptor_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), quiet():
        raise KeyError
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr


def test_a_quiet_worker_still_says_what_python_has_to_say() -> None:
    code = """
import os, sys
from music_reclass.extractors.audio.sndfile import quiet, quiet_decoders
quiet_decoders()
quiet_decoders()
with quiet():
    os.write(2, b"chatter")
os.write(2, b"more chatter")
print("a warning", file=sys.stderr)
"""
    assert python(code) == "a warning\n"


def test_a_process_without_standard_error_is_silent_already() -> None:
    code = """
import os
from music_reclass.extractors.audio.sndfile import quiet, quiet_decoders
os.close(2)
with quiet():
    pass
quiet_decoders()
"""
    assert python(code) == ""
