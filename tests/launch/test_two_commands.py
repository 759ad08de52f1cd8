"""Two commands at once: each moment at which the other one comes is put there by hand."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1lab import main
from r1lab.errors import ResumeError
from r1lab.launch import local, slurm, worker
from r1lab.plan.request import Request
from r1lab.runs import manifest
from r1lab.runs.folder import RunFolder, write_atomic
from r1lab.runs.states import INTERRUPTED
from r1lab.runs.sweeps import SweepLedger
from r1lab.slurm.record import note_cancelled, submitted
from r1lab.slurm.states import Status, statuses
from tests.command_line import CommandLine, r1lab
from tests.slurm.answers import Controller, controller

__all__ = ["controller", "r1lab"]
SWEEP = ("-m", "seed=1,2")
QUEUE = (*SWEEP, "cluster=slurm", "accelerator=cpu")


def sweeps() -> list[Path]:
    return sorted(Path("outputs/sweeps").iterdir())


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Request], None]], None]:
    """Has something happen once, between a command's planning and its beginning."""

    def put(happens: Callable[[Request], None]) -> None:
        check, done = main.check, []

        def checked(*words: Any) -> Request:
            request = check(*words)
            if not done:
                done.append(happens(request))
            return request

        monkeypatch.setattr(main, "check", checked)

    return put


def test_the_same_sweep_begun_a_moment_before_is_gone_on_with(
    r1lab: CommandLine, meanwhile: Callable[[Callable[[Request], None]], None]
) -> None:
    other = Path("outputs/sweeps/2026-01-01_00-00-00-000")
    meanwhile(lambda request: SweepLedger(other).begin(request.identity, "r1lab -m seed=1,2"))
    said = r1lab(*SWEEP)
    assert said.code == 0, said.err
    assert list(said.started) == [other / "0", other / "1"] and sweeps() == [other]
    assert f"goes on with the sweep {other}" in said.out


def test_another_command_of_the_same_moment_keeps_its_folder(
    r1lab: CommandLine, meanwhile: Callable[[Callable[[Request], None]], None]
) -> None:
    taken: list[Path] = []

    def take(request: Request) -> None:
        taken.append(Path(str(request.sweep)))
        RunFolder(taken[0] / "0").write_json("run.yaml", {"name": "another's"})

    meanwhile(take)
    said = r1lab(*SWEEP, "sweep.new=true")
    assert said.code == 0, said.err
    assert len(sweeps()) == 2 and taken[0] not in {folder.parent for folder in said.started}
    assert json.loads((taken[0] / "0/run.yaml").read_text()) == {"name": "another's"}


def test_from_its_start_to_its_end_a_folder_is_its_starter_s(
    r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a server is started for a run, minutes pass before the run's own process holds the folder."""
    cfg, run = r1lab.accepts(), Path("run")
    refused: list[str] = []

    def supervise(run_yaml: Path, typed: str = "") -> dict[str, Any]:
        assert RunFolder(run).in_use()
        before = run_yaml.read_text()
        with pytest.raises(ResumeError) as caught:
            local.launch(r1lab.accepts("seed=99"), run)
        refused.append(str(caught.value))
        assert run_yaml.read_text() == before
        return {}

    monkeypatch.setattr(local, "supervise", supervise)
    local.launch(cfg, run)
    assert refused == ["run is in use: another process is running in it"]
    assert not RunFolder(run).in_use()


def test_an_interrupt_while_the_page_is_written_leaves_a_finished_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_json("metrics.json", {"eval/accuracy": 0.5})
    manifest.end(folder, "finished", 0)
    code = worker.end(folder, worker.Ending(INTERRUPTED, 130, "interrupted"))
    assert (code, folder.read_json("manifest.json")["status"]) == (130, "finished")


def write_often(path: Path, number: int) -> None:
    for _ in range(200):
        write_atomic(path, json.dumps({"number": number, "ballast": str(number) * number * 5000}))


def test_several_processes_write_one_file(tmp_path: Path) -> None:
    """With one name for what stands beside it, they cut each other's text off, and all but one found it gone."""
    path = tmp_path / "manifest.json"
    writers = [multiprocessing.get_context("fork").Process(target=write_often, args=(path, n)) for n in (1, 2, 3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            content = json.loads(path.read_text())
            assert len(content["ballast"]) == content["number"] * 5000
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]


@pytest.fixture
def queue(r1lab: CommandLine, controller: Controller, monkeypatch: pytest.MonkeyPatch) -> Controller:
    """A queue that takes everything and has nothing to say against it."""
    monkeypatch.setattr("r1lab.plan.cluster.present", lambda: True)
    for name in ("plan.cluster._check_partition", "plan.cluster._check_accounts", "plan.cluster.check_array"):
        monkeypatch.setattr(f"r1lab.{name}", lambda *_: [])
    return controller


@pytest.mark.whole
def test_one_command_at_a_time_looks_and_queues(r1lab: CommandLine, queue: Controller) -> None:
    held: list[bool] = []

    def other_command() -> None:
        (sweep,) = sweeps()
        with (sweep / ".turn").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(True)

    queue.before = other_command
    assert r1lab(*QUEUE, "cluster.wait=false").code == 0
    assert held == [True] and [index for _, index, _ in queue.taken] == [0, 1]
    again = r1lab(*QUEUE, "cluster.wait=false")
    assert again.code == 0 and len(queue.taken) == 2


@pytest.mark.whole
@pytest.mark.parametrize("other", ["queues it again", "cancels it"])
def test_a_run_that_failed_is_not_queued_again_after_another_command(
    r1lab: CommandLine, queue: Controller, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """A node fails; before the command that waits looks, somebody has given it again, or cancelled the sweep."""
    waited: list[list[str]] = []

    def wait(jobs: Any) -> list[Status]:
        waited.append([item.job for item in jobs])
        (sweep,) = sweeps()
        if len(waited) > 1:
            queue.states |= dict.fromkeys(waited[-1], "CANCELLED")
            return statuses(jobs)
        queue.states = {"100_0": "NODE_FAIL", "100_1": "CANCELLED"}
        ended = statuses(jobs)
        if other == "queues it again":
            queue.taken.append(("200", 0, str(sweep.resolve() / "slurm-0.sh")))
            content = json.loads((sweep / "slurm.json").read_text())
            content["jobs"][str((sweep / "0").resolve())] = "200_0"
            (sweep / "slurm.json").write_text(json.dumps(content))
        else:
            note_cancelled(submitted(sweep)[0], over=True)
        return ended

    monkeypatch.setattr(slurm, "wait", wait)
    said = r1lab(*QUEUE)
    assert said.code == 1
    assert {array for array, *_ in queue.taken} <= {"100", "200"}  # it has queued nothing more
    joined = [["200_0"]] if other == "queues it again" else []
    assert waited == [["100_0", "100_1"], *joined]
    assert ("0 was queued again by another command: 200_0" in said.out) == bool(joined)
