"""A network on the processor computes with the cores there are, and leaves everything else at one thread."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from music_reclass import config  # noqa: E402
from music_reclass.extractors.batching import Slope  # noqa: E402
from music_reclass.extractors.device import Placement  # noqa: E402
from music_reclass.extractors.network import Blueprint, Network  # noqa: E402


class Counting(torch.nn.Module):
    """Notes with how many threads torch computes when it is asked."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, batch):
        self.seen.append(torch.get_num_threads())
        if batch.sum() < 0:
            raise ValueError("negative")
        return batch


@pytest.fixture
def sixteen_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(config, "usable_cores", lambda: 16)


def counting(tmp_path):
    module = Counting()
    blueprint = Blueprint("counting", lambda _: module, lambda m, b: m(b), Slope(0, 1), tmp_path / "slopes.json")
    return Network(blueprint, Placement("cpu", "", "fp32")), module


def test_of_sixteen_cores_a_network_gets_fifteen_and_gives_them_back_after_each_batch(tmp_path, sixteen_cores):
    network, module = counting(tmp_path)
    before = torch.get_num_threads()
    rows = network.map(np.ones((3, 4), np.float32))
    next(rows)
    assert torch.get_num_threads() == before  # whoever takes the rows computes as before
    assert len(list(rows)) == 2
    assert module.seen == [15, 15]
    network.decoders = 5
    list(network.map(np.ones((2, 4), np.float32)))
    assert module.seen[2:] == [11]
    assert torch.get_num_threads() == before


def test_threads_are_given_back_when_the_network_fails(tmp_path, sixteen_cores):
    network, module = counting(tmp_path)
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="negative"):
        list(network.map(-np.ones((1, 4), np.float32)))
    assert (module.seen, torch.get_num_threads()) == ([15], before)


SEEN_BY_A_COMMAND = """
import os
from music_reclass import config
from music_reclass.cli import main
from music_reclass.utils.workers import network_threads
config.usable_cores = lambda: 16
main.run = lambda arguments: print(os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"], network_threads())
main.main([])
"""


@pytest.mark.parametrize(("user", "seen"), [(None, "1 passive 15"), ("3", "3 passive 3"), ("1", "1 passive 1")])
def test_a_command_limits_blas_and_not_the_network_unless_the_user_says_so(user, seen):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {} if user is None else {"OMP_NUM_THREADS": user}
    done = subprocess.run([sys.executable, "-c", SEEN_BY_A_COMMAND], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == seen, done.stderr
