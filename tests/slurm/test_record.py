"""What `slurm.json` knows, whatever moment a kill or another command has chosen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1lab.errors import ResumeError, SlurmError
from r1lab.launch import slurm
from r1lab.launch.local import launch
from r1lab.runs import manifest
from r1lab.runs.folder import TYPED, RunFolder
from r1lab.runs.states import finished_since_queued
from r1lab.slurm import record
from r1lab.slurm.commands import Job
from r1lab.slurm.record import Submitted, given_up, hand_over, home, note_cancelled, submitted, submitted_below
from r1lab.slurm.states import Status, status, under_way
from tests.command_line import CommandLine, r1lab
from tests.slurm.answers import Controller, controller

__all__ = ["controller", "r1lab"]


def script_of(folder: Path, *indices: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder.resolve() / "slurm-0.sh"
    file.write_text(f"#SBATCH --array={','.join(map(str, indices))}\n")
    return file


def killed() -> None:
    raise KeyboardInterrupt


def test_what_slurm_took_from_a_killed_command_is_known_to_the_next(tmp_path: Path, controller: Controller) -> None:
    runs = {index: tmp_path / "sweep" / str(index) for index in (0, 2)}
    script = script_of(tmp_path / "sweep", *runs)
    controller.after = killed
    with pytest.raises(KeyboardInterrupt):
        hand_over(script, runs)
    assert json.loads((tmp_path / "sweep/slurm.json").read_text()).get("jobs") is None
    expected = [Submitted(runs[0].resolve(), "100_0"), Submitted(runs[2].resolve(), "100_2")]
    assert submitted(tmp_path / "sweep") == expected == submitted_below(tmp_path)
    item = under_way(runs[2])
    assert item and (item.state, item.job) == ("queued", "100_2")
    assert json.loads((tmp_path / "sweep/slurm.json").read_text())["handing"] == {}


def test_what_slurm_never_took_is_not_known_and_an_older_array_is_not_taken_for_it(
    tmp_path: Path, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = tmp_path / "sweep"
    script = script_of(sweep, 0, 1)
    hand_over(script, {0: sweep / "0", 1: sweep / "1"})
    hand_over(script_of(sweep, 1), {1: sweep / "1"})  # the second time, as 102
    before = {"0": "100_0", "1": "102_1"}
    assert {item.run.name: item.job for item in submitted(sweep)} == before

    def gone(*_: object) -> str:
        raise SlurmError("sbatch did not answer within 120 s")

    with monkeypatch.context() as patched:
        patched.setattr(record, "submit", gone)
        with pytest.raises(SlurmError):
            hand_over(script, {1: sweep / "1"})
    assert {item.run.name: item.job for item in submitted(sweep)} == before
    controller.taken.append(("200", 1, str(script)))  # it had taken it after all
    assert {item.run.name: item.job for item in submitted(sweep)} == {"0": "100_0", "1": "200_1"}


def test_a_run_of_a_sweep_that_is_resumed_in_the_queue_has_one_job(tmp_path: Path, controller: Controller) -> None:
    sweep = tmp_path / "sweep"
    hand_over(script_of(sweep, 0, 1), {0: sweep / "0", 1: sweep / "1"})
    assert home(sweep / "0") == sweep
    controller.states = {"100_0": "FAILED", "100_1": "COMPLETED"}
    hand_over(script_of(sweep / "0", 0), {0: sweep / "0"})  # resume=sweep/0
    assert {item.run.name: item.job for item in submitted_below(tmp_path)} == {"0": "102_0", "1": "100_1"}
    item = under_way(sweep / "0")
    assert item is not None and item.job == "102_0"


def test_a_run_in_the_queue_is_not_started_here(
    r1lab: CommandLine, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("r1lab.launch.local.present", lambda: True)
    cfg = r1lab.accepts()
    run = Path("outputs/sweeps/a/0")
    hand_over(script_of(run.parent, 0), {0: run})
    with pytest.raises(ResumeError, match=r"outputs/sweeps/a/0 is queued as 100_0 of Slurm's\n.*task=cancel"):
        launch(cfg, run)
    assert not run.exists()


def ended_as(run: Path, how: str) -> RunFolder:
    """A run that has ended, and is then handed to the queue again."""
    folder = RunFolder(run)
    folder.write_json("manifest.json", {"status": how, "ended": "12:00", "cause": "the old cause", "exit": 1})
    folder.write_json("metrics.json", {"eval/accuracy": 0.5})
    folder.write_json(TYPED, {"command": "", "ended": "12:00"})
    return folder


@pytest.mark.parametrize("how", ["finished", "failed", "interrupted"])
def test_how_a_run_ended_before_says_nothing_of_its_job(tmp_path: Path, how: str) -> None:
    run = tmp_path / "0"
    folder = ended_as(run, how)
    item = Submitted(run, "7_0")
    states = {word: status(item, Job(word)).state for word in ("PENDING", "RUNNING", "CANCELLED", "FAILED")}
    assert states == {"PENDING": "queued", "RUNNING": "running", "CANCELLED": "cancelled", "FAILED": "failed"}
    assert status(item, Job("FAILED")).why == "the job ended without a word"
    assert not finished_since_queued(folder)
    manifest.add(folder, status="running", ended=None)  # the job has begun it
    manifest.end(folder, "finished", 0)
    assert status(item, Job("RUNNING")).state == "finished"
    assert finished_since_queued(folder)


def test_a_script_that_nobody_queued_for_r1lab_starts_a_finished_run(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_json("manifest.json", {"status": "finished", "ended": "12:00"})
    assert not finished_since_queued(RunFolder(tmp_path))


def test_what_was_cancelled_is_not_tried_again_though_it_had_failed_by_then(tmp_path: Path) -> None:
    item = Submitted(tmp_path / "0", "7_0")
    RunFolder(item.run).write_json("manifest.json", {"status": "running"})
    note_cancelled(item, over=True)
    assert given_up(item) and not given_up(Submitted(item.run, "8_0"))
    assert status(item, None).state == "failed"  # that is how it ended
    note_cancelled(item)
    assert status(item, None).state == "cancelled"


def test_a_job_that_is_held_is_said_once_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0").mkdir()
    item = Submitted(tmp_path / "0", "7_0")
    held = Job("PENDING", "launch failed requeued held")
    looks = iter([Job("PENDING", "Priority"), held, held, held, Job("PENDING", "Resources"), Job("COMPLETED")])
    said: list[Status] = []
    monkeypatch.setattr(slurm, "statuses", lambda _: [status(item, next(looks))])
    monkeypatch.setattr(slurm.time, "sleep", lambda _: None)
    monkeypatch.setattr(slurm, "say_state", lambda now, first: said.append(now) if now.stuck or not first else None)
    slurm.wait([item])
    assert [now.state for now in said] == ["queued", "queued", "failed"]
    release = "its node did not start it in time, and Slurm holds it: scontrol release 7_0"
    assert said[0].why == release and said[1].why == "the nodes it needs are busy"
