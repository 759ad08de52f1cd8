"""A pipeline's page: stages that have ended, failed, wait or are left out; hostile names; a record that is none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1lab.errors import ReportError
from r1lab.report.pipeline import command_of, steps_of, write_pipeline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline of which one stage has finished, one has failed, one waits and one is left out."""
    stages = [
        stage(tmp_path, "base", "eval", {"eval/accuracy": 0.25, "eval/accuracy_low": 0.2, "eval/accuracy_high": 0.3}),
        stage(tmp_path, "traces", "generate", {"kept": 30, "rows": 40, "notes": ["<b>forty</b>"]}),
        stage(tmp_path, "sft", "sft", None, takes=[["traces", "dataset"]]),
        stage(tmp_path, "rl", "grpo", None, takes=[["sft", "model"], ["base", "metrics"]], begun=False),
        stage(tmp_path, "last", "eval", None, takes=[["rl", "model"]], begun=False, does="leave"),
    ]
    record = {"name": "a <path>", "command": "python -m r1lab experiment=path", "stages": stages}
    (tmp_path / "pipeline.json").write_text(json.dumps(record))
    return tmp_path


def stage(
    root: Path,
    name: str,
    task: str,
    metrics: dict[str, Any] | None,
    takes: list[list[str]] | None = None,
    begun: bool = True,
    does: str = "run",
) -> dict[str, Any]:
    place = root / f"{name}-0"
    if begun:
        place.mkdir()
        (place / "run.yaml").write_text(f"name: {name}\n")
        ended = {"status": "finished"} if metrics else {"status": "failed", "cause": "the disk is full", "exit": 1}
        times = {"started": "2026-01-31T22:10:00+00:00", "ended": "2026-01-31T22:11:05+00:00"}
        (place / "manifest.json").write_text(json.dumps({**ended, **times}))
        (place / "report.html").write_text("")
    if metrics:
        (place / "metrics.json").write_text(json.dumps(metrics))
    why = "left out by task.until=rl" if does == "leave" else "to be run"
    return {
        "name": name,
        "task": task,
        "key": "0",
        "folder": str(place),
        "takes": takes or [],
        "does": does,
        "why": why,
        "told": "",
    }


def test_every_stage_is_shown_as_it_stands(folder: Path) -> None:
    steps = steps_of(folder, json.loads((folder / "pipeline.json").read_text()))
    assert [(step.name, step.rank, step.status) for step in steps] == [
        ("base", 0, "finished"),
        ("traces", 0, "finished"),
        ("sft", 1, "failed"),
        ("rl", 2, "waiting"),
        ("last", 3, "waiting"),
    ]
    base, traces, sft, rl, last = steps
    assert (base.value, base.interval) == ("25.0\N{NO-BREAK SPACE}%", base.interval) and "20.0" in base.interval
    assert [(bar.left, bar.width, bar.mark) for bar in base.bars] == [(20.0, 10.0, 25.0)]
    assert traces.value == "30 of 40" and traces.took == "1 min 5 s"
    assert sft.told == "the disk is full" and rl.told == "after sft" and last.told == "left out by task.until=rl"
    assert base.link == "base-0/report.html" and rl.link == ""


def test_the_page_says_what_failed_and_is_safe(folder: Path) -> None:
    text = write_pipeline(folder).read_text()
    assert "<b>Stage sft:</b> the disk is full" in text
    assert "a &lt;path&gt;" in text and "&lt;b&gt;forty&lt;/b&gt;" in text and "<path>" not in text
    assert re.findall(r'id="stage-(\w+)"', text) == ["base", "traces", "sft", "rl", "last"]
    assert 'model of <a href="#stage-sft">sft</a>, metrics of <a href="#stage-base">base</a>' in text


def test_a_page_of_a_start_under_way_tells_of_this_start(folder: Path) -> None:
    """What an earlier one left of a stage that runs or is still to run is no news of it."""
    record = json.loads((folder / "pipeline.json").read_text())
    steps = steps_of(folder, record, {"traces": "running", "sft": "waiting"})
    assert [step.status for step in steps] == ["finished", "running", "waiting", "waiting", "waiting"]
    assert steps[1].told == "to be run" and steps[2].told == "after traces"
    text = write_pipeline(folder, "traces", ["sft", "rl"]).read_text()
    assert "the disk is full" not in text
    assert re.search(r"<h1>a &lt;path&gt;</h1> <span[^>]*>running<", text)


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("x task.until=rl -m", "finished", "x -m"),
        ("x ++task.until=rl", "finished", "x"),
        ("x", "finished", "x task.until=null"),  # an experiment's file says it
        ("x task.until=rl", "failed", "x task.until=rl"),  # there is more to do before that
    ],
)
def test_the_command_to_go_on_does_something(folder: Path, command: str, status: str, said: str) -> None:
    record = json.loads((folder / "pipeline.json").read_text())
    steps = [replace(step, status=status if step.name != "last" else "waiting") for step in steps_of(folder, record)]
    assert command_of({**record, "command": command}, steps) == said


@pytest.mark.parametrize("content", [None, "{", "[]", '{"stages": 3}', '{"stages": [{"task": "sft"}]}'])
def test_a_record_that_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "pipeline.json").write_text(content)
    with pytest.raises(ReportError, match="holds no pipeline"):
        write_pipeline(tmp_path)
