"""Trackers that raise, hang or die: the run neither stops nor waits, and what they missed is said."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.trackers.conftest import FOLDER, WORDS, Run

pytestmark = pytest.mark.whole

SINK = """
import os, time

class Mine:
    def __init__(self, how: str = "well"):
        self.how = how

    def start(self, run):
        if self.how == "raises at once":
            raise ConnectionError("nobody is there")
        return "mine"

    def log(self, step, metrics):
        if self.how == "raises" and step >= 3:
            raise ConnectionError("gone")
        if self.how == "hangs" and step >= 3:
            time.sleep(1000)
        if self.how == "dies" and step >= 3:
            os._exit(3)
        if self.how == "slow":
            time.sleep(0.5)

    def finish(self, metrics, status, page):
        if self.how == "hangs at the end":
            time.sleep(1000)
"""
CONF = "mine:\n  _target_: mysinks.Mine\n  how: well\n  wait: 3.0\n"


@pytest.fixture
def mine(run: Run, tmp_path: Path) -> Run:
    """Runs with a tracker of the user's own, which fails as it is told."""
    (tmp_path / "mysinks.py").write_text(SINK)
    (tmp_path / "conf/tracker").mkdir(parents=True)
    (tmp_path / "conf/tracker/mine.yaml").write_text(CONF)

    def command(how: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = ["tracker=mine", f"tracker.mine.how='{how}'"] if how else []
        return run(*WORDS, *own, "plugins=[mytasks,mysinks]", "--config-dir", "conf", *words, **environment)

    return command


@pytest.mark.parametrize(
    ("how", "missing", "trouble"),
    [
        pytest.param("well", 0, "", marks=pytest.mark.slow),
        ("raises at once", 10, "cannot be reached (ConnectionError: nobody is there)"),
        pytest.param("raises", 6, "refuses the record of step 3 (ConnectionError: gone)", marks=pytest.mark.slow),
        ("hangs", 6, ""),
        pytest.param("hangs at the end", 0, "", marks=pytest.mark.slow),
        ("dies", 6, ""),
    ],
)
def test_a_tracker_in_trouble_costs_its_own_records_alone(mine: Run, how: str, missing: int, trouble: str) -> None:
    result = mine(how)  # one that hangs does so for longer than the command may take
    assert result.returncode == 0, result.stderr
    assert json.loads((FOLDER / "manifest.json").read_text())["status"] == "finished"
    lines = result.stderr.splitlines()
    assert sum("the run goes on" in line for line in lines) == bool(trouble)
    assert trouble in result.stderr and "Traceback" not in result.stderr
    told = f"r1lab: tracker mine did not get {missing} records; {FOLDER}/metrics.jsonl has them all"
    assert (told in lines) == bool(missing)
    assert len((FOLDER / "metrics.jsonl").read_text().splitlines()) == 10


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for item in held:
            item.close()


def test_a_real_tracker_whose_server_hangs(run: Run, silent: str) -> None:
    pytest.importorskip("mlflow")
    words = [*WORDS, "tracker=mlflow", f"tracker.mlflow.uri={silent}", "tracker.mlflow.wait=3"]
    result = run(*words)
    assert result.returncode == 0, result.stderr
    assert "tracker mlflow did not get 10 records" in result.stderr


def test_the_steps_of_a_run_do_not_wait_for_a_slow_tracker(mine: Run) -> None:
    """40 steps of 20 ms beside a tracker that takes 500 ms for each record."""
    assert mine("slow", "trainer.max_steps=40", STEP_SECONDS="0.02").returncode == 0
    times = [json.loads(line) for line in (FOLDER / "metrics.jsonl").read_text().splitlines()]
    at = [item["time"] for item in times if "loss" in item]
    assert len(at) == 40
    step = statistics.median(later - before for before, later in pairwise(at))
    print(f"a step: {step * 1000:.1f} ms beside a slow tracker")
    assert step < 0.1  # a fifth of what one record takes the tracker


def test_an_interrupt_is_not_held_up(mine: Run) -> None:
    result = mine("hangs at the end", "tracker.mine.wait=1000", HOW="fails")
    assert result.returncode == 1 and "the loss is gone" in result.stderr
