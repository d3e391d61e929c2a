"""The generators that fedgen is compared with: each keeps what it says it keeps, and the study runs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedgen
from benchmarks import rivals
from fedgen.federation import Federation
from tests.strategies import federations

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "configs" / "debian_teams.csv.gz"


@pytest.fixture(scope="module")
def example() -> Federation:
    return fedgen.read(EXAMPLE)


def sizes(federation: Federation) -> list[list[int]]:
    return [federation.users_per_room.tolist(), federation.rooms_per_user.tolist(), federation.user_server.tolist()]


def presences(federation: Federation) -> list[list[int]]:
    p = federation.presences
    return [p.server.tolist(), p.room.tolist(), p.users.tolist()]


@given(federations(), st.integers(0, 3))
def test_whatever_is_dropped_is_told_and_nobody_is_lost(federation: Federation, seed: int) -> None:
    for rival in (rivals.configuration, rivals.presences_copied):
        drawn = rival(federation, seed)
        drawn.federation.check()
        assert drawn.federation.n_memberships == federation.n_memberships - drawn.dropped
        if not drawn.dropped:
            assert sizes(drawn.federation) == sizes(federation)


def test_configuration_forgets_the_servers_and_keeps_the_sizes(example: Federation) -> None:
    drawn = rivals.configuration(example, 1)
    assert drawn.dropped == 0
    assert sizes(drawn.federation) == sizes(example)
    assert drawn.federation.n_presences > 1.05 * example.n_presences, "users of a server no longer flock together"


def test_presences_are_copied_but_not_who_fills_them(example: Federation) -> None:
    drawn = rivals.presences_copied(example, 1)
    assert drawn.dropped == 0
    assert presences(drawn.federation) == presences(example)
    assert not drawn.federation.same_as(example)


def test_blocks_keep_their_memberships(example: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    size = example.rooms_per_user, example.users_per_room
    blocks = rivals.Blocks(*((part > 2).astype(np.int64) for part in size), "hand")
    monkeypatch.setattr(rivals, "find_blocks", lambda _: blocks)
    drawn = rivals.block_model(example, 1)
    assert drawn.dropped <= 0.001 * example.n_memberships

    def between(federation: Federation) -> list[int]:
        pair = 2 * blocks.user[federation.membership_user] + blocks.room[federation.membership_room]
        return np.bincount(pair, minlength=4).tolist()

    assert between(drawn.federation) == pytest.approx(between(example), abs=drawn.dropped)
    assert not drawn.federation.same_as(example)


def test_igraph_finds_what_is_apart() -> None:
    pytest.importorskip("igraph")
    apart = Federation.from_pairs([0, 0, 1, 1], [0, 1, 2, 3, 0, 1, 2, 3], [0, 0, 1, 1, 2, 2, 3, 3])
    edges = np.column_stack((apart.membership_user, apart.membership_room + apart.n_users))
    label, name = rivals._by_igraph(edges, apart.n_users + apart.n_rooms)
    assert label[0] == label[1] != label[2] == label[3]
    assert "igraph" in name


def test_the_study_runs() -> None:
    words = ["--seeds", "1", "--quick", "--data", str(EXAMPLE)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / "fidelity.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=environment)
    assert done.stderr == ""
    lines = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert {"| fedgen drawn", "| configuration", "| presences copied", "| A1", "| E5u"} <= {line[0] for line in lines}
    assert "block model" in done.stdout.lower()
