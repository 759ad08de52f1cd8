"""Reading a stream while it grows, and what a follower does with a tracker that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from r1lab.launch.beside import missed
from r1lab.runs.folder import RunFolder
from r1lab.trackers.base import Run, numbers
from r1lab.trackers.follow import Follower
from r1lab.trackers.tail import MOST, Tail


class Memory:
    """A tracker that keeps what it is sent, and fails on order."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, float]]] = []
        self.runs: list[Run] = []
        self.ended: list[tuple[dict[str, Any], str, str | None]] = []
        self.tries = 0
        self.fault: Callable[[int], bool] = lambda step: False
        self.start_fails = 0

    def start(self, run: Run) -> str:
        if self.start_fails:
            self.start_fails -= 1
            raise ConnectionError("nobody is there; key=a-very-secret-value")
        self.runs.append(run)
        return run.id or "run-1"

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.tries += 1
        if self.fault(step):
            raise ValueError(f"no to step {step}")
        self.sent.append((step, metrics))

    def finish(self, metrics: dict[str, Any], status: str, page: Path | None) -> None:
        self.ended.append((metrics, status, page and page.read_text()))

    @property
    def steps(self) -> list[int]:
        return [step for step, _ in self.sent]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    found = RunFolder(tmp_path / "outputs/sums/one")
    found.write_json("manifest.json", {"seed": 1, "command": "python -m r1lab"})
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The follower's clock, which stands still unless it is put forward."""
    now = [1000.0]
    monkeypatch.setattr("r1lab.trackers.follow.time.monotonic", lambda: now[0])
    return now


CFG = OmegaConf.create({"name": "sums", "outputs": "outputs", "model": {"eos_token": "<|end|>", "api_key": "k"}})


def follower(folder: RunFolder, sink: Memory, said: list[str] | None = None, cfg: DictConfig = CFG) -> Follower:
    return Follower(folder, "mine", sink, cfg, (said if said is not None else []).append)


def write(folder: RunFolder, *steps: int) -> None:
    folder.append("metrics.jsonl", [{"step": step, "loss": step / 2} for step in steps])


def state(folder: RunFolder) -> dict[str, Any]:
    return dict(json.loads((folder.path / "trackers.json").read_text())["mine"])


def test_a_tail_gives_whole_lines_once(folder: RunFolder) -> None:
    tail = Tail(folder)
    assert tail.ahead(2) == []
    write(folder, 0, 1)
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert [item["step"] for item in tail.ahead(5)] == [0, 1]
    tail.skip(2)
    assert tail.ahead(5) == [] and (tail.step, tail.at_step, tail.records) == (1, 1, 2)
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('ss": 1.0}\n')
    assert tail.ahead(5) == [{"step": 2, "loss": 1.0}]


def test_a_tail_holds_a_bounded_part_of_the_file(folder: RunFolder) -> None:
    write(folder, *range(1000))
    tail = Tail(folder)
    seen = []
    while records := tail.ahead(1):
        assert len(tail._held) <= MOST
        seen.append(records[0]["step"])
        tail.skip(1)
    assert seen == list(range(1000))


def test_a_stream_that_is_cut_back_is_not_sent_twice(folder: RunFolder) -> None:
    write(folder, 0, 1, 2, 2, 3, 4)
    tail = Tail(folder)
    tail.ahead(6)
    tail.skip(4)  # both of step 2
    folder.rewind(1)
    write(folder, 2, 2, 2, 3, 4, 5)  # one more at step 2 than before
    found = tail.ahead(10)
    assert [item["step"] for item in found] == [2, 3, 4, 5]
    tail.skip(4)
    assert tail.records == 8 == sum(1 for _ in folder.records("metrics.jsonl"))
    later = Tail(folder, tail.step, tail.at_step)
    assert later.ahead(10) == [] and later.records == 8


def test_numbers_are_what_can_be_drawn() -> None:
    record = {"step": 3, "loss": 0.5, "tokens": 7, "none": None, "word": "x", "flag": True, "odd": float("nan")}
    assert numbers(record) == {"loss": 0.5, "tokens": 7}


def test_a_run_is_told_whole(folder: RunFolder, clock: list[float]) -> None:
    sink = Memory()
    mine = follower(folder, sink)
    mine.work()
    write(folder, 0, 1, 2)
    mine.work()
    write(folder, 3)
    folder.write_json("metrics.json", {"eval/accuracy": 0.5})
    (folder.path / "report.html").write_text(f"page with hf_{'x' * 34}")
    mine.end("finished")
    assert sink.sent == [(step, {"loss": step / 2}) for step in (0, 1, 2, 3)]
    assert sink.ended == [({"eval/accuracy": 0.5}, "finished", "page with [removed]")]
    run = sink.runs[0]
    assert (run.name, run.manifest["seed"], run.outputs) == ("sums/one", 1, Path("outputs").resolve())
    assert run.config["model.eos_token"] == "<|end|>" and run.config["model.api_key"] == "[removed]"
    assert state(folder) == {"id": "run-1", "step": 3, "at_step": 1, "records": 4, "missed": 0, "status": "finished"}
    assert missed(folder, "mine") == 0


def test_a_resumed_run_goes_on_in_the_same_run_without_repeating(folder: RunFolder, clock: list[float]) -> None:
    first, second = Memory(), Memory()
    write(folder, 0, 1, 2, 3)
    follower(folder, first).end("interrupted")
    assert first.ended == [({}, "interrupted", None)]
    mine = follower(folder, second)  # it may look before the stream is cut back
    mine.work()
    folder.rewind(1)
    write(folder, 2, 3, 4)
    mine.end("finished")
    assert second.steps == [4]
    assert second.runs[0].id == "run-1"


def test_one_record_that_is_refused_costs_that_record(
    folder: RunFolder, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    sink, said = Memory(), list[str]()
    sink.fault = lambda step: step == 1
    mine = follower(folder, sink, said)
    write(folder, 0, 1, 2, 3)
    mine.work()
    clock[0] += 2
    mine.work()
    assert sink.steps == [0, 2, 3] and mine.missed == 1
    assert said == ["tracker mine refuses the record of step 1 (ValueError: no to step 1); the run goes on"]
    assert missed(folder, "mine") == 1


def test_a_tracker_that_is_down_for_a_while_gets_everything_later(folder: RunFolder, clock: list[float]) -> None:
    sink, said = Memory(), list[str]()
    sink.fault = lambda step: clock[0] < 1100
    mine = follower(folder, sink, said)
    for step in range(200):
        write(folder, step)
        mine.work()
        clock[0] += 1
    mine.end("finished")
    assert sink.steps == list(range(200)) and mine.missed == 0
    assert len(said) == 1
    assert sink.tries - 200 <= 16  # 2, 4, 8, … 60 s between two attempts, of two records each


def test_a_tracker_that_never_answers_is_asked_seldom_and_counted(folder: RunFolder, clock: list[float]) -> None:
    sink, said = Memory(), list[str]()
    sink.start_fails = 10**6
    mine = follower(folder, sink, said)
    for step in range(600):
        write(folder, step)
        mine.work()
        clock[0] += 1
    mine.end("finished")
    assert 10**6 - sink.start_fails <= 16
    assert len(said) == 1 and "nobody is there" in said[0]
    assert missed(folder, "mine") == 600
    assert sink.ended == []
