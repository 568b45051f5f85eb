"""Several processes that work together, and notice when one is lost."""

from __future__ import annotations

import pytest
from torch import distributed as dist

from crossframe import distributed
from crossframe.distributed import LostProcessError, Processes, joined


@pytest.fixture
def one_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts the second of two processes, which connects to nobody."""
    for name, value in {"LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.usefixtures("one_of_two")
def test_a_process_whose_partner_has_ended_says_so_in_one_line() -> None:
    with (
        pytest.raises(LostProcessError, match="another process has ended; see what it said"),
        joined(),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:34492")


@pytest.mark.usefixtures("one_of_two")
def test_errors_of_its_own_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), joined():
        raise RuntimeError("shapes cannot be multiplied")


@pytest.mark.usefixtures("one_of_two")
def test_each_process_has_a_gpu_of_its_own_and_results_travel_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """So no process keeps a GPU waiting for the others, and a slow one is waited for longer than NCCL does."""
    done: list[object] = []
    monkeypatch.setattr(dist, "init_process_group", lambda backend, timeout: done.append(backend))
    monkeypatch.setattr(distributed, "this_process", lambda: (1, 2))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", done.append)
    with joined() as writes:
        assert not writes
    assert done == [1, "gloo"]


def test_one_process_needs_nobody() -> None:
    alone = Processes()
    assert (alone.first, alone.sum(3, 4), alone.gather("a")) == (True, [3, 4], ["a"])
    with pytest.raises(RuntimeError, match="connection"), alone.watched():
        raise RuntimeError("connection of another kind")
