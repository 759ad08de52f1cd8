"""Pipelines that run: in order, once, again where something changed, on from where they were killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.pipeline.conftest import Workplace

pytestmark = pytest.mark.whole


def test_stages_run_in_order_and_once(workplace: Workplace) -> None:
    said = workplace()
    assert workplace.ran() == ["a", "b", "c", "d"]
    assert workplace.numbers() == {"a": 1, "b": 11, "c": 31, "d": 5}
    assert "outputs/sum/pipeline.html" in said
    first = workplace.record()
    said = workplace()
    assert workplace.ran() == []
    assert said.count("skipped, finished before") == 4
    assert "every stage had finished before; nothing was run" in said
    said = workplace("task.stages.b.task.add=40")  # and what comes after it; neither a nor d
    assert workplace.ran() == ["b", "c"]
    assert workplace.numbers() == {"a": 1, "b": 41, "c": 61, "d": 5}
    second = workplace.record()
    assert {name for name in first if first[name]["key"] == second[name]["key"]} == {"a", "d"}
    workplace()  # back to what was there before
    assert workplace.ran() == []
    assert workplace.numbers()["c"] == 31


def test_a_failed_stage_stops_those_after_it_and_goes_on(workplace: Workplace) -> None:
    said = workplace("task.stages.b.task.how=fails", code=1)
    assert workplace.ran() == ["a", "b", "d"]  # d needs nothing of it
    assert "r1lab: stage b failed, and 1 stage after it did not start: the loss is gone" in said
    assert "3/4 c  add: not started, since b did not finish" in said
    assert "Traceback" not in said
    page = Path("outputs/sum/pipeline.html").read_text()
    assert "the loss is gone" in page and "after b" in page
    status = workplace("task=status", "task.run=outputs/sum").splitlines()
    assert [line.split()[1] for line in status if "outputs/sum/c-" in line] == ["waiting"]
    Path("mended").touch()
    workplace("task.stages.b.task.how=fails")
    assert workplace.ran() == ["b", "c"]
    assert workplace.numbers()["c"] == 31


def test_a_stage_without_what_it_should_leave_fails(workplace: Workplace) -> None:
    said = workplace("task.stages.a.task.how=silent", code=1)
    assert "stage a failed, and 2 stages after it did not start: it ended well and left no out, which" in said
    assert "which stage b takes (outputs/sum/a-" in said
    assert workplace.ran() == ["a", "d"]
    assert "its out is gone, and b takes it" in workplace("task.stages.a.task.how=silent", code=1)
    assert workplace.ran() == ["a"]


@pytest.mark.slow
def test_what_was_deleted_is_made_again_where_it_is_needed(workplace: Workplace) -> None:
    workplace("task.until=b")
    workplace.ran()
    (Path(workplace.record()["a"]["folder"]) / "out/number").unlink()
    (Path(workplace.record()["a"]["folder"]) / "out").rmdir()
    workplace("task.until=b")
    assert workplace.ran() == []  # b is there, and nobody else takes it
    workplace("task.stages.b.task.add=11", "task.until=b")
    assert workplace.ran() == ["a", "b"]


@pytest.mark.slow
def test_from_and_until(workplace: Workplace) -> None:
    said = workplace("task.from=c", code=2)
    assert "stage b is before task.from=c, and has not finished with these settings" in said
    assert "nothing was started" in said
    workplace("task.until=b")
    assert workplace.ran() == ["a", "b"]
    assert "left out by task.until=b" in workplace("task.until=b")
    workplace("task.from=c")
    assert workplace.ran() == ["c"]


@pytest.mark.slow
def test_a_killed_pipeline_goes_on_and_a_second_one_is_refused_meanwhile(workplace: Workplace) -> None:
    words = ["experiment=sum", "task.stages.b.task.how=waits"]
    with subprocess.Popen([*workplace.command, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as first:
        worker = waited_for(Path("begun"))
        said = workplace(*words[1:], code=2)
        assert re.search(r"outputs/sum is in use: another process is running in it", said)
        status = workplace("task=status", "task.run=outputs/sum").splitlines()
        assert [line.split()[1] for line in status if "outputs/sum/b-" in line] == ["running"]
        first.send_signal(signal.SIGKILL)
        first.wait()
    while alive(worker):  # it dies with its starter
        time.sleep(0.05)
    assert workplace.ran() == ["a", "b"]
    Path("go").touch()
    workplace(*words[1:])
    assert workplace.ran() == ["b", "c", "d"]
    assert workplace.numbers() == {"a": 1, "b": 11, "c": 31, "d": 5}


@pytest.mark.slow
def test_an_interrupt_ends_the_stage_in_order(workplace: Workplace) -> None:
    words = [*workplace.command, "experiment=sum", "task.stages.a.task.how=waits"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as first:
        waited_for(Path("begun"))
        page = Path("outputs/sum/pipeline.html").read_text()
        assert "interrupted" not in body(page) and body(page).count("running") and "after a" in page
        first.send_signal(signal.SIGINT)
        said, _ = first.communicate()
    assert first.returncode == 130
    again = "interrupted in stage a: the same command goes on with it, and skips what has finished"
    assert again in said.splitlines()
    assert workplace.ran() == ["a"]
    assert "interrupted" in body(Path("outputs/sum/pipeline.html").read_text())
    Path("begun").unlink()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as second:
        waited_for(Path("begun"))
        page = body(Path("outputs/sum/pipeline.html").read_text())
        second.send_signal(signal.SIGINT)
    assert "running" in page and "interrupted before" in page and "badge interrupted" not in page


@pytest.mark.slow
def test_pipelines_share_a_store(workplace: Workplace) -> None:
    workplace("task.store=shared")
    workplace.ran()
    workplace("task.store=shared", "name=other", "task.stages.c.task.add=1")
    assert workplace.ran() == ["c"]
    assert Path("outputs/other/pipeline.html").is_file()


def body(page: str) -> str:
    """A page without its style."""
    return page.partition("<body>")[2]


def waited_for(file: Path) -> int:
    """The process that writes a file, once it has."""
    while not file.is_file() or not file.read_text():
        time.sleep(0.05)
    return int(file.read_text())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
