"""If these fail, one client takes all of a replica, is refused too soon, or fills its memory."""

import pytest

from serve.access.rates import Rates


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    rates = Rates()
    assert [rates.wait_s("alice", 2, 3, 0.0) for _ in range(5)] == [0, 0, 0, 1, 1]
    assert rates.wait_s("alice", 2, 3, 0.5) == 0
    assert rates.wait_s("alice", 2, 3, 0.5) == 1
    assert [rates.wait_s("alice", 2, 3, 100.0) for _ in range(4)] == [0, 0, 0, 1], "a bucket holds no more than burst"


def test_one_askers_haste_is_not_anothers_wait() -> None:
    rates = Rates()
    assert [rates.wait_s("alice", 1, 1, 0.0), rates.wait_s("alice", 1, 1, 0.0), rates.wait_s("bob", 1, 1, 0.0)] == [
        0, 1, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("rate", [0.01, 0.3, 7.0])
def test_who_waits_as_told_is_answered(rate: float) -> None:
    rates = Rates()
    assert rates.wait_s("alice", rate, 1, 0.0) == 0
    wait_s = rates.wait_s("alice", rate, 1, 0.0)
    assert wait_s >= 1
    assert rates.wait_s("alice", rate, 1, wait_s) == 0


def test_many_askers_do_not_fill_the_memory() -> None:
    rates = Rates(most=100)
    for number in range(1000):
        rates.wait_s(f"10.0.{number // 256}.{number % 256}", 1, 1, float(number))
        rates.wait_s("alice", 1, 1, float(number))
    assert len(rates) == 100
    assert rates.wait_s("alice", 1, 1, 999.0) > 0, "who was seen of late is forgotten"
