"""What does not fit the memory of this machine is refused, with what does."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from fedgen.errors import InfeasibleError
from fitting.model import Model
from gen.memory import check_memory
from gen.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.builtin()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """One of so many GiB."""

    def of(gib: float) -> None:
        monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": int(gib * 2**18)}.__getitem__)

    return of


def named(model: Model, servers: int, **options: Any) -> int | None:
    """The number of servers that a refusal names; None: not refused."""
    try:
        check_memory(model, make_plan(model, servers=servers), **options)
    except InfeasibleError as refused:
        told = str(refused)
    else:
        return None
    assert "\n" not in told
    [most] = re.findall(r"give at most (\d+) servers$", told)
    return int(most)


@pytest.mark.parametrize("processes", [1, 2, 16])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by district"])
@pytest.mark.parametrize("gib", [0.02, 0.1, 0.3, 1, 4, 64])
def test_what_is_named_fits(
    gib: float, whole: bool, processes: int, model: Model, machine: Callable[[float], None]
) -> None:
    machine(gib)
    for servers in (2_000, 20_000, 60_000, 10**6, 10**8, 10**10):
        most = named(model, servers, whole=whole, processes=processes)
        if most is not None:
            assert 1 <= most < servers
            assert named(model, most, whole=whole, processes=processes) is None
            if whole:  # and not much more does; districts make steps
                assert named(model, 2 * most, whole=whole, processes=processes) is not None
    assert most is not None


def test_by_district_needs_far_less(model: Model, machine: Callable[[float], None]) -> None:
    machine(2)
    plan = make_plan(model, servers=10**6)
    check_memory(model, plan, whole=False)
    with pytest.raises(InfeasibleError):
        check_memory(model, plan, whole=True)


def test_workers_elsewhere_need_none_here(model: Model, machine: Callable[[float], None]) -> None:
    machine(0.1)
    plan = make_plan(model, servers=10**6)
    check_memory(model, plan, whole=False, processes=0)
    with pytest.raises(InfeasibleError):
        check_memory(model, plan, whole=False)
