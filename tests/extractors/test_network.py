"""A network on a device: batches that adapt, short numbers that fall back once, memory slopes that are remembered."""

from __future__ import annotations

import errno
import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from music_reclass.errors import FailTrack, MissingExtra, ReclassError  # noqa: E402
from music_reclass.extractors.batching import OutOfMemory, Slope  # noqa: E402
from music_reclass.extractors.device import Device, Placement  # noqa: E402
from music_reclass.extractors.network import OVERFLOWS, Blueprint, Network, check_packages, finite_row  # noqa: E402


class Doubler(torch.nn.Module):
    """Gives (sum, length) of each window, times two; records the batches and the number format it is given."""

    def __init__(self, capacity=1000, overflow=False):
        super().__init__()
        self.capacity, self.overflow, self.batches, self.formats = capacity, overflow, [], []

    def in_format(self, precision):
        """A module for each number format, as a blueprint builds them; all note down in one place."""
        module = Doubler(self.capacity, self.overflow)
        module.batches, module.formats, module.precision = self.batches, self.formats, precision
        return module

    def forward(self, batch):
        assert batch.dtype == torch.float32
        short = self.precision != "fp32"
        if len(batch) > self.capacity:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.batches.append(len(batch))
        self.formats.append(self.precision)
        rows = 2 * torch.stack([batch.sum(dim=1), torch.full((len(batch),), float(batch.shape[1]))], dim=1)
        return rows * float("inf") if short and self.overflow else rows


def network(module, tmp_path, precision="fp32", device="cpu"):
    blueprint = Blueprint("doubler", module.in_format, lambda m, b: m(b), Slope(0, 1000), tmp_path / "slopes.json")
    return Network(blueprint, Placement(device, "", precision))


def windows(count, length=8):
    return [np.full(length, number, np.float32) for number in range(count)]


def test_rows_come_in_order_whatever_the_batches_are(tmp_path):
    rows = list(network(Doubler(), tmp_path).map(windows(7)))
    assert [row.tolist() for row in rows] == [[16.0 * n, 16.0] for n in range(7)]
    assert all(row.dtype == np.float32 for row in rows)


def test_windows_of_other_lengths_never_share_a_batch(tmp_path):
    mixed = [*windows(3), *windows(2, length=4), *windows(2)]
    rows = list(network(Doubler(), tmp_path).map(mixed))
    assert [row[1] for row in rows] == [16, 16, 16, 8, 8, 16, 16]


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOENT, ReclassError, "The weights of net cannot be read .* install the model again"),
        (errno.EIO, ReclassError, "The weights of net cannot be read"),
        (errno.ENOMEM, OutOfMemory, "Loading this network takes"),
    ],
)
def test_weights_that_cannot_be_read_any_more_end_the_stage_with_a_sentence(number, kind, words, tmp_path):
    def build(precision):
        raise OSError(number, "it is so", "model.safetensors")

    blueprint = Blueprint("net", build, lambda m, b: m(b), Slope(0, 1000), tmp_path / "slopes.json")
    with pytest.raises(kind, match=words):
        list(Network(blueprint, Placement("cpu", "", "fp32")).map(windows(2)))


def test_weights_that_were_let_go_of_are_loaded_again(tmp_path):
    built = []

    def build(precision):
        built.append(Doubler().in_format(precision))
        return built[-1]

    blueprint = Blueprint("doubler", build, lambda m, b: m(b), Slope(0, 1000), tmp_path / "slopes.json")
    doubler = Network(blueprint, Placement("cpu", "", "fp32"))
    first = list(doubler.map(windows(2)))
    doubler.release()
    doubler.release()
    assert np.array_equal(list(doubler.map(windows(2))), first)
    assert len(built) == 2


def test_on_a_card_float32_is_float32_and_sums_of_short_formats_are_too(tmp_path):
    names = ("allow_tf32", "allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
    switches = [(torch.backends.cudnn, "allow_tf32"), *((torch.backends.cuda.matmul, name) for name in names)]
    for backend, name in switches:
        setattr(backend, name, True)
    assert network(Doubler(), tmp_path).device.is_cpu
    assert not any(getattr(backend, name) for backend, name in switches)


def test_no_window_no_row_and_nothing_is_loaded(tmp_path):
    blueprint = Blueprint("none", lambda _: 1 / 0, lambda m, b: b, Slope(0, 1), tmp_path / "slopes.json")
    assert list(Network(blueprint, Placement("cpu")).map([])) == []


def test_it_recovers_from_a_batch_that_does_not_fit(tmp_path):
    module = Doubler(capacity=1)
    assert len(list(network(module, tmp_path).map(windows(5)))) == 5
    assert set(module.batches) == {1}


def test_where_a_processor_cannot_hold_one_window_its_track_has_failed_for_memory(tmp_path):
    answers = list(network(Doubler(capacity=0), tmp_path).map(windows(2)))
    assert [answer.reason for answer in answers] == ["memory", "memory"]


def test_another_error_is_not_taken_for_want_of_memory(tmp_path):
    blueprint = Blueprint("broken", Doubler().in_format, lambda m, b: 1 / 0, Slope(0, 1), tmp_path / "slopes.json")
    with pytest.raises(ZeroDivisionError):
        list(Network(blueprint, Placement("cpu")).map(windows(2)))


def test_windows_that_overflow_are_computed_again_alone_and_after_many_the_run_changes_to_float32(tmp_path, caplog):
    module = Doubler(overflow=True)
    doubler = network(module, tmp_path, precision="bf16")
    rows = list(doubler.map(windows(OVERFLOWS + 10)))
    assert np.isfinite(rows).all()
    assert [row[0] for row in rows] == [16.0 * n for n in range(OVERFLOWS + 10)]
    assert module.formats.count("bf16") == OVERFLOWS // 2  # batches of two
    assert doubler.precision == "fp32"
    assert [record.message for record in caplog.records] == [
        f"{OVERFLOWS} windows left the range of bf16 on the processor; this network computes in fp32 from here on."
    ]


def test_short_numbers_that_stay_finite_are_kept(tmp_path):
    module = Doubler()
    list(network(module, tmp_path, precision="bf16").map(windows(6)))
    assert set(module.formats) == {"bf16"}


def test_a_row_that_is_not_finite_in_float32_fails_its_track():
    assert finite_row(np.ones(3, np.float32)).tolist() == [1, 1, 1]
    with pytest.raises(FailTrack, match="unsupported"):
        finite_row(np.array([1, np.inf], np.float32))


def test_a_package_that_is_not_installed_is_named_with_its_extra():
    check_packages("numpy")
    with pytest.raises(MissingExtra, match=r"no_such_package.*\[neural\]"):
        check_packages("numpy", "no_such_package")


class SimulatedCard(Network):
    """A network that believes to be on a card: what it computes there is computed here, what memory says is made up."""

    def __init__(self, blueprint, placement, capacity):
        super().__init__(blueprint, placement)
        self._device = Device("cuda:0", "Simulated RTX", "bf16", total=8 * 1024**3, capability=(8, 6))
        self.capacity, self.on_card, self.on_processor = capacity, [], []

    def _computed(self, batch, device, precision, chunks=1):
        if device.is_cpu:
            self.on_processor.append(len(batch))
        else:
            if len(batch) > self.capacity:
                raise RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "CUDACachingAllocator.cpp"')
            self.on_card.append(len(batch))
        return np.stack([window[:2] for window in batch])

    def _module(self, device, precision):
        return self._modules.setdefault((device.name, precision), object())


@pytest.fixture
def card(tmp_path, monkeypatch):
    """Makes a simulated card with room for some windows; torch's memory questions have made-up answers."""
    peaks = iter([900.0e6, 130.0e6, 240.0e6] * 4)  # the first pass tries algorithms
    made_up = SimpleNamespace(
        memory_allocated=lambda _: 0,
        memory_reserved=lambda _: 0,
        reset_peak_memory_stats=lambda _: None,
        max_memory_allocated=lambda _: next(peaks),
        mem_get_info=lambda _: (4 * 1024**3, 8 * 1024**3),
        is_available=lambda: False,
    )
    for name, answer in vars(made_up).items():
        monkeypatch.setattr(torch.cuda, name, answer)
    blueprint = Blueprint("net", lambda _: None, lambda m, b: b, Slope(0, 117e6), tmp_path / "slopes.json")
    return lambda capacity: SimulatedCard(blueprint, Placement("cuda"), capacity)


def test_on_a_card_the_batch_follows_the_measured_slope_and_the_free_memory(card, tmp_path):
    network = card(1000)
    list(network.map(windows(100)))
    predicted = int((4 * 1024**3 * 0.8 - 20e6) // 110e6)
    assert network.on_card[3] == predicted  # after a pass to warm up and two measurements
    measured = {f"net|bf16|8|Simulated RTX|{torch.__version__}": [20e6, 110e6]}
    assert json.loads((tmp_path / "slopes.json").read_text()) == measured


def test_a_slope_is_measured_once_for_a_version_of_torch_and_remembered(card, monkeypatch):
    list(card(1000).map(windows(3)))
    again = card(1000)
    list(again.map(windows(3)))
    assert again.on_card == [3]
    monkeypatch.setattr(torch, "__version__", "99.0")
    newer = card(1000)
    list(newer.map(windows(3)))
    assert newer.on_card == [1, 1, 2, 3]


@pytest.mark.parametrize("damage", ["{", "[1]", '{"KEY": 7}', '{"KEY": [1]}', '{"KEY": ["a", 2]}', '{"KEY": [0, -5]}'])
def test_slopes_that_are_damaged_are_measured_again(damage, card, tmp_path):
    list(card(1000).map(windows(3)))
    file = tmp_path / "slopes.json"
    measured = json.loads(file.read_text())
    file.write_text(damage.replace("KEY", next(iter(measured))))
    again = card(1000)
    list(again.map(windows(3)))
    assert again.on_card == [1, 1, 2, 3]


def test_an_allocator_that_does_not_count_is_not_believed(card, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10**9, 8 * 1024**3))
    network = card(1000)
    list(network.map(windows(14)))
    assert network.on_card[3] == int(10**9 * 0.8 // 58.5e6)  # the blueprint's, half in a short format
    assert not (tmp_path / "slopes.json").exists()


def test_a_card_without_room_for_one_window_leaves_it_to_the_processor(card):
    network = card(0)
    rows = list(network.map(windows(3)))
    assert [row[0] for row in rows] == [0, 1, 2]
    assert (network.on_card, network.on_processor) == ([], [1, 1, 1])


class SmallCard(SimulatedCard):
    """A card with room for so many numbers at once, of which a window in chunks needs the fewer the more they are."""

    def _computed(self, batch, device, precision, chunks=1):
        if not device.is_cpu and sum(window.size for window in batch) / chunks > self.capacity:
            raise RuntimeError("CUDA out of memory")
        (self.on_processor if device.is_cpu else self.on_card).append(chunks)
        return np.stack([window[:1] for window in batch])


@pytest.mark.parametrize(
    ("capacity", "on_card", "on_processor", "chunked"),
    [(1600, {1}, 0, 0), (400, {4}, 0, 2), (100, {16}, 0, 2), (99, set(), 2, 0)],
)
def test_a_window_without_room_is_computed_in_chunks_then_in_more_of_them_then_by_the_processor(
    capacity, on_card, on_processor, chunked, card, tmp_path
):
    blueprint = Blueprint(
        "net", lambda _: None, lambda m, b: b, Slope(0, 117e6), tmp_path / "s.json", lambda m, b, n: b
    )
    network = SmallCard(blueprint, Placement("cuda"), capacity)
    rows = list(network.map(np.full(1600, number, np.float32) for number in range(2)))
    assert np.concatenate(rows).tolist() == [0, 1]
    assert (set(network.on_card), len(network.on_processor), network.chunked) == (on_card, on_processor, chunked)


def test_a_card_without_room_for_the_weights_leaves_all_to_the_processor(card, monkeypatch):
    network = card(1000)

    def too_large(device, precision):
        if not device.is_cpu:
            raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(network, "_module", too_large)
    assert [row[0] for row in network.map(windows(5))] == [0, 1, 2, 3, 4]
    assert network.on_card == []
    assert network.device.is_cpu


def test_a_card_that_holds_one_window_works_one_by_one(card):
    network = card(1)
    assert len(list(network.map(windows(5)))) == 5
    assert set(network.on_card) == {1}
    assert network.on_processor == []
