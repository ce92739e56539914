"""Batches reach workers that come and go: none is lost, none done twice but those that a worker took along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.cluster.dispatch import IN_FLIGHT, PATIENCE, TRIES, UNSEEN, Dispatcher, Lost, Parcel
from music_reclass.errors import FailTrack, ReclassError, TrackError


class Carrier:
    """Workers in memory: each call of `receive` takes a second and ends the oldest batch of one of them."""

    def __init__(self, *workers: str, size: int = 4, answer: Callable[[str, Parcel], Any] | None = None) -> None:
        self.alive = list(workers)
        self.size = size
        self.answer = answer or (lambda worker, parcel: parcel.item * 10)
        self.queues: dict[str, list[tuple[int, list[Parcel]]]] = {worker: [] for worker in workers}
        self.computed: Counter[Any] = Counter()
        self.batches: list[tuple[str, list[Any]]] = []
        self.dropped: dict[str, str] = {}
        self.beside: list[list[Any]] = []  # of each batch: what its worker had besides when it came
        self.most = 0
        self.now = 0.0
        self.count = 0
        self.gone: list[tuple[int, Lost]] = []
        self.silent: set[str] = set()
        self.kills: dict[float, str] = {}
        self.joins: dict[float, str] = {}

    def clock(self) -> float:
        return self.now

    def workers(self) -> Sequence[str]:
        return list(self.alive)

    def batch_size(self, worker: str) -> int:
        return self.size

    def patience(self, worker: str, count: int) -> float:
        return 100.0

    def pack(self, worker: str, item: Any, as_bytes: bool) -> Parcel | TrackError:
        return Parcel(item, content=b"sound", size=5) if as_bytes else Parcel(item, path=str(item))

    def send(self, worker: str, parcels: Sequence[Parcel]) -> Hashable:
        self.count += 1
        self.beside.append([parcel.item for _, held in self.queues[worker] for parcel in held])
        self.queues[worker].append((self.count, list(parcels)))
        self.batches.append((worker, [parcel.item for parcel in parcels]))
        self.most = max(self.most, len(self.queues[worker]))
        return self.count

    def receive(self, tickets: Sequence[Hashable], seconds: float) -> list[tuple[Hashable, list[Any] | Lost]]:
        self.now += 1.0
        for second in [second for second in self.kills if second <= self.now]:
            self.end(self.kills.pop(second), "power cut")
        for second in [second for second in self.joins if second <= self.now]:
            self.alive.append(worker := self.joins.pop(second))
            self.queues[worker] = []
        done: list[tuple[Hashable, list[Any] | Lost]] = list(self.gone)
        self.gone.clear()
        for worker in list(self.alive):
            if worker in self.silent or not self.queues[worker]:
                continue
            ticket, parcels = self.queues[worker][0]
            answers = [self.answer(worker, parcel) for parcel in parcels]
            if any(answer is None for answer in answers):
                self.end(worker, "it fell over")
                continue
            self.queues[worker].pop(0)
            self.computed.update(parcel.item for parcel in parcels)
            done.append((ticket, answers))
        return done

    def end(self, worker: str, why: str) -> None:
        if worker in self.alive:
            self.alive.remove(worker)
            self.gone += [(ticket, Lost(why)) for ticket, _ in self.queues[worker]]

    def drop(self, worker: str, why: str) -> None:
        self.dropped[worker] = why
        self.end(worker, why)


def run(carrier: Carrier, items: Sequence[Any], stop: Callable[[], bool] = lambda: False) -> dict[Any, Any]:
    pairs = list(Dispatcher(carrier, carrier.clock).run(items, stop))
    assert len(pairs) == len(dict(pairs)), "an item came back twice"
    return dict(pairs)


def test_every_item_comes_back_once_from_several_workers() -> None:
    carrier = Carrier("a", "b", "c")
    assert run(carrier, range(50)) == {number: number * 10 for number in range(50)}
    assert set(carrier.computed.values()) == {1}
    assert {worker for worker, _ in carrier.batches} == {"a", "b", "c"}


def test_no_worker_has_more_than_two_batches_and_each_has_one_before_any_has_two() -> None:
    carrier = Carrier("a", "b")
    run(carrier, range(40))
    assert carrier.most == IN_FLIGHT
    assert [worker for worker, _ in carrier.batches[:4]] == ["a", "b", "a", "b"]


def test_items_are_drawn_only_as_workers_have_room() -> None:
    drawn = []
    carrier = Carrier("a")

    def source() -> Any:
        for number in range(100):
            drawn.append(number)
            yield number

    answers = Dispatcher(carrier, carrier.clock).run(source())
    next(answers)
    assert len(drawn) <= IN_FLIGHT * carrier.size


def test_a_worker_that_ends_costs_its_batches_in_flight_and_nothing_else() -> None:
    carrier = Carrier("a", "b")
    carrier.kills = {3.0: "b"}
    found = run(carrier, range(60))
    assert found == {number: number * 10 for number in range(60)}
    taken = {item for _, items in carrier.batches for item in items}
    sent = Counter(item for _, items in carrier.batches for item in items)
    assert taken == set(range(60))
    assert 0 < sum(count - 1 for count in sent.values()) <= IN_FLIGHT * carrier.size
    assert set(carrier.computed.values()) == {1}, "answers that came are not computed again"


def test_a_worker_that_joins_gets_work() -> None:
    carrier = Carrier("a")
    carrier.joins = {2.0: "late"}
    run(carrier, range(60))
    assert sum(worker == "late" for worker, _ in carrier.batches) > 3


def test_all_workers_may_be_gone_for_a_while() -> None:
    carrier = Carrier("a")
    carrier.kills, carrier.joins = {2.0: "a"}, {2.0 + PATIENCE / 2: "later"}
    assert len(run(carrier, range(20))) == 20


def test_a_run_without_any_worker_ends_with_a_sentence() -> None:
    carrier = Carrier("a")
    carrier.kills = {2.0: "a"}
    with pytest.raises(ReclassError, match="No node of the cluster is left"):
        run(carrier, range(20))
    assert PATIENCE <= carrier.now < PATIENCE + 10


def test_an_item_that_ends_its_worker_three_times_fails_alone() -> None:
    carrier = Carrier(*"abcdefgh", size=16, answer=lambda worker, parcel: None if parcel.item == 7 else parcel.item)
    found = run(carrier, range(100))
    assert isinstance(found[7], FailTrack)
    assert (found[7].reason, "it fell over" in found[7].detail) == ("crashed", True)
    assert {number: found[number] for number in range(100) if number != 7} == {n: n for n in range(100) if n != 7}
    assert len("abcdefgh") - len(carrier.alive) == TRIES


def test_batches_become_smaller_with_each_try_and_the_last_has_its_worker_for_itself() -> None:
    carrier = Carrier(*"abcd", size=16, answer=lambda worker, parcel: None if parcel.item == 3 else parcel.item)
    run(carrier, range(64))
    sizes = [len(items) for _, items in carrier.batches if 3 in items]
    assert sizes == [16, 2, 1]


def test_only_the_batch_that_a_worker_was_at_is_blamed_for_its_end() -> None:
    carrier = Carrier("a", "b", size=16)
    carrier.kills = {1.0: "a"}
    run(carrier, range(100))
    first, second = (items for worker, items in carrier.batches if worker == "a")
    again = [items for worker, items in carrier.batches if worker == "b"]
    assert all(len(items) == 2 for items in again if set(items) & set(first)), "smaller, as one of them may be poison"
    assert second in again, "whole, as none of them was begun"


def test_nothing_is_beside_a_batch_on_its_last_try() -> None:
    carrier = Carrier(*"abcd", size=16, answer=lambda worker, parcel: None if parcel.item == 3 else parcel.item)
    run(carrier, range(200))
    last = [place for place, (_, items) in enumerate(carrier.batches) if 3 in items][TRIES - 1]
    assert carrier.beside[last] == []
    assert all(3 not in besides for besides in carrier.beside[last + 1 :])


def test_two_poisonous_items_take_no_innocent_one_along() -> None:
    poison = {5, 6, 40}
    workers = [f"w{number}" for number in range(12)]
    carrier = Carrier(*workers, size=8, answer=lambda _, parcel: None if parcel.item in poison else parcel.item)
    found = run(carrier, range(60))
    assert {number for number, answer in found.items() if isinstance(answer, TrackError)} == poison


def test_a_file_that_a_node_does_not_see_goes_by_bytes() -> None:
    def answer(worker: str, parcel: Parcel) -> Any:
        return FailTrack(UNSEEN) if parcel.content is None and parcel.item % 2 else (parcel.item, parcel.content)

    found = run(Carrier("a", answer=answer), range(10))
    assert found == {number: (number, b"sound" if number % 2 else None) for number in range(10)}


def test_a_file_that_is_unseen_as_bytes_too_is_failed() -> None:
    found = run(Carrier("a", answer=lambda *_: FailTrack(UNSEEN, "why")), [1])
    assert (found[1].reason, found[1].detail) == ("io", "why")


def test_what_cannot_even_be_sent_comes_back_at_once() -> None:
    carrier = Carrier("a")
    pack = carrier.pack
    gone = FailTrack("vanished")
    carrier.pack = lambda worker, item, as_bytes: gone if item == 2 else pack(worker, item, as_bytes)  # type: ignore[method-assign]
    assert run(carrier, range(4)) == {0: 0, 1: 10, 2: gone, 3: 30}


def test_a_worker_that_cannot_go_on_is_dropped_and_its_items_go_to_others() -> None:
    carrier = Carrier("a", "b", answer=lambda worker, p: ReclassError("no card") if worker == "a" else p.item)
    assert run(carrier, range(30)) == {number: number for number in range(30)}
    assert carrier.dropped == {"a": "no card"}


def test_the_error_of_the_last_worker_ends_the_run() -> None:
    with pytest.raises(ReclassError, match="no card"):
        run(Carrier("a", "b", answer=lambda *_: ReclassError("no card")), range(30))


def test_a_worker_that_is_silent_is_given_up() -> None:
    carrier = Carrier("a", "b")
    carrier.silent = {"b"}
    assert len(run(carrier, range(30))) == 30
    assert "does not answer" in carrier.dropped["b"]


def test_a_stop_brings_back_what_is_under_way_and_begins_nothing() -> None:
    carrier = Carrier("a", "b")
    found = run(carrier, range(100), stop=lambda: carrier.now >= 2)
    sent = {item for _, items in carrier.batches for item in items}
    assert set(found) == sent
    assert len(sent) < 50


@given(
    st.integers(0, 80),
    st.dictionaries(st.floats(1, 12), st.sampled_from("abc"), max_size=3),
    st.dictionaries(st.floats(1, 12), st.sampled_from("xyz"), max_size=3),
)
def test_whoever_comes_and_goes_every_item_comes_back_once(
    count: int, kills: dict[float, str], joins: dict[float, str]
) -> None:
    carrier = Carrier(*"abcd", size=3)
    carrier.kills = dict(kills)
    names = iter("xyz")
    carrier.joins = {second: next(names) for second in joins}
    assert run(carrier, range(count)) == {number: number * 10 for number in range(count)}
    assert set(carrier.computed.values()) <= {1}
