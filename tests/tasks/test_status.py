"""task=status over folders that a crash of a machine, or a hand, has left in every shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from r1lab.errors import ReportError, ResumeError
from r1lab.runs.folder import RunFolder
from r1lab.slurm.commands import Job
from r1lab.slurm.record import Submitted, note_cancelled
from r1lab.slurm.states import status
from r1lab.tasks import cancel
from r1lab.tasks import status as task

DONE = json.dumps({"status": "finished"})


def made(folder: Path, **files: str) -> Path:
    for name, text in {"run_yaml": "name: x\n", **files}.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_one_broken_folder_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every state is that of the one folder; before, any of the broken ones ended the whole look with a traceback."""
    outputs = tmp_path / "outputs"
    made(outputs / "good", manifest_json=DONE, metrics_jsonl='{"step": 3, "reward": 0.5}\n')
    for number, text in enumerate(['{"status": "fin', "", "[1]", "null", "\x00" * 40]):
        made(outputs / f"manifest-{number}", manifest_json=text)
    made(outputs / "metrics", manifest_json=DONE, metrics_json="[1]")
    made(outputs / "config", manifest_json=DONE, run_yaml="a: [\n")
    made(outputs / "trainer", manifest_json=DONE, run_yaml="trainer: {max_steps: many}\n")
    for number, line in enumerate(['{"reward": 0.5}', "5", '{"step": "x"}']):
        made(outputs / f"stream-{number}", manifest_json=DONE, metrics_jsonl=f"{line}\n")
    made(outputs / "pipe", pipeline_json="{torn")
    cfg = {"task": {"run": str(outputs), "json": True}, "outputs": str(outputs), "objective": "eval/accuracy"}
    task.run(OmegaConf.create(cfg))
    found = {Path(item["run"]).name: item for item in json.loads(capsys.readouterr().out)}
    states = {name: item["state"] for name, item in found.items()}
    broken = [*(f"manifest-{number}" for number in range(5)), "metrics", "pipe"]
    whole = ["good", "config", "trainer", *(f"stream-{number}" for number in range(3))]
    assert states == {**dict.fromkeys(whole, "finished"), **dict.fromkeys(broken, "unreadable")}
    assert "manifest.json cannot be read" in found["manifest-0"]["why"]
    assert (found["good"]["step"], found["good"]["reward"]) == (3, 0.5)
    cfg["task"] = {"run": None, "json": False}
    task.run(OmegaConf.create(cfg))
    assert "6 finished, 7 unreadable" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "state"), [("RUNNING", "running"), ("PENDING", "queued"), ("FAILED", "unreadable"), (None, "unreadable")]
)
def test_the_queue_tells_where_the_folder_does_not(tmp_path: Path, word: str | None, state: str) -> None:
    run = made(tmp_path / "0", manifest_json="{")
    assert status(Submitted(run, "7_0"), Job(word) if word else None).state == state


@pytest.mark.parametrize(
    ("manifest", "job", "state", "why"),
    [
        (None, "7_2", "cancelled", "it was cancelled"),
        ('{"status": "running"}', "7_2", "cancelled", "it was cancelled"),
        (DONE, "7_2", "finished", ""),  # it came too late
        ('{"status": "failed", "cause": "the loss is gone"}', "7_2", "failed", "the loss is gone"),
        (None, "8_2", "failed", "Slurm has forgotten the job, and the run never started"),  # an earlier job's note
    ],
)
def test_a_cancellation_outlives_slurm_s_memory(
    tmp_path: Path, manifest: str | None, job: str, state: str, why: str
) -> None:
    run = made(tmp_path / "2", **({"manifest_json": manifest} if manifest else {}))
    note_cancelled(Submitted(run, "7_2"))
    told = status(Submitted(run, job), None)
    assert (told.state, told.why, told.slurm) == (state, why, "")
    assert status(Submitted(run, "7_2"), Job("RUNNING")).state == ("finished" if manifest == DONE else "running")


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    folder = RunFolder(made(tmp_path / "run", manifest_json="[]"))
    with pytest.raises(ResumeError, match=r"run/manifest.json cannot be read: it holds no JSON object"):
        folder.read_json("manifest.json")


def test_a_cancellation_of_nothing_is_said(tmp_path: Path) -> None:
    for said in (None, ""):
        with pytest.raises(ReportError, match="names no folder"):
            cancel.run(OmegaConf.create({"task": {"run": said}}))
    with pytest.raises(ReportError, match="holds no run that was handed to Slurm"):
        cancel.run(OmegaConf.create({"task": {"run": str(tmp_path)}}))
