"""The record of a run's first failure: one writer, whole, and not the bystander's."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from r1lab.runs import failures
from r1lab.runs.failures import Failure, claim, claim_in_turn, of_the_connection, read


def claims(path: Path, number: int, results: multiprocessing.Queue[tuple[int, bool]]) -> None:
    results.put((number, claim(path, Failure(f"cause {number}", f"process {number}", 1, number))))


def test_one_of_many_is_the_first(tmp_path: Path) -> None:
    path = tmp_path / "failures/a.json"
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[tuple[int, bool]] = context.Queue()
    children = [context.Process(target=claims, args=(path, number, results)) for number in range(8)]
    for child in children:
        child.start()
    told = dict(results.get(timeout=20) for _ in children)
    for child in children:
        child.join()
    winners = [number for number, won in told.items() if won]
    found = read(path)
    assert found is not None and [found.rank] == winners and found.cause == f"cause {winners[0]}"
    assert [item.name for item in path.parent.iterdir()] == ["a.json"]


def test_no_failure_no_record(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") is None


class DistBackendError(RuntimeError):
    """As torch's, by its name."""


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "bystander"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), True),
        (RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:4242"), True),
        (RuntimeError("NCCL error: remote process exited or there was a network error"), True),
        (DistBackendError("anything"), True),
        (raised_from(ValueError("the batch is odd"), ConnectionError("gone")), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False),
        (MemoryError(), False),
        (KeyError("socket"), False),
        (ValueError("the store has no such column"), False),
    ],
    ids=repr,
)
def test_what_somebody_elses_death_explains(error: Exception, bystander: bool) -> None:
    assert of_the_connection(error) is bystander


def test_a_bystander_lets_the_cause_go_first(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    late = threading.Timer(0.3, claim, (path, Failure("memory ran out", "training process 0", -9, 0)))
    late.start()
    won = claim_in_turn(path, Failure("connection reset", "training process 1", 1, 1), ConnectionResetError())
    late.join()
    found = read(path)
    assert not won and found is not None and found.cause == "memory ran out"


def test_a_bystander_speaks_when_nobody_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "PATIENCE", 0.2)
    began = time.monotonic()
    assert claim_in_turn(tmp_path / "a.json", Failure("lost", "training process 1", 1, 1), ConnectionResetError())
    assert time.monotonic() - began >= 0.2


def test_a_cause_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
    assert claim_in_turn(tmp_path / "a.json", Failure("odd", "training process 1", 1, 1), ValueError("odd"))
