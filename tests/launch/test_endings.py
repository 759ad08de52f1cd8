"""However a run ends: its exit code, what the terminal says, and what its folder says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1lab.errors import RunError
from r1lab.launch.ending import failure
from r1lab.runs.folder import RunFolder
from tests.launch.conftest import wait_for

pytestmark = pytest.mark.whole


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())  # type: ignore[no-any-return]


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_well(start: Any, workplace: Path) -> None:
    process = start("well")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "task=mine" in said and "Traceback" not in said
    found = manifest(workplace / "run")
    assert (found["status"], found["exit"], found["cause"]) == ("finished", 0, None)
    assert found["started"] <= found["ended"]
    metrics = json.loads((workplace / "run/metrics.json").read_text())
    assert metrics["eval/mine"] == 0.5 and metrics["pid"] != process.pid
    assert (workplace / "run/report.html").is_file()


@pytest.mark.parametrize(
    ("how", "code", "cause"),
    [
        ("user error", 2, "the file is empty"),
        ("run error", 1, "the loss is gone"),
        ("bug", 1, "KeyError: 'no such key'"),
        ("memory", 1, "memory ran out"),
        ("killed", 1, "the training process was killed by SIGKILL (by hand, or by the kernel because memory ran out)"),
        ("abort", 1, "the training process was killed by SIGABRT"),
        ("quota", 1, "Disk quota exceeded: model.safetensors"),
        ("library", 1, "the disk is full (unexpected pos)"),
    ],
)
def test_a_failure_is_one_message_and_an_exit_code(
    start: Any, workplace: Path, how: str, code: int, cause: str
) -> None:
    process = start(how)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert re.sub(r"\s+", " ", said).count(cause) == 1
    assert "Traceback" not in said and "site-packages" not in said
    found = manifest(workplace / "run")
    assert (found["status"], found["cause"]) == ("failed", cause) and found["exit"] in (code, -6, -9)
    log = (workplace / "run/run.log").read_text()
    assert ("Traceback" in log) == (how == "bug")
    if code == 1:
        assert "run/run.log" in said and "resume " not in said


@pytest.mark.parametrize("how", ["killed with a checkpoint", "killed with completions"])
def test_a_kill_with_something_kept_tells_how_to_resume(start: Any, how: str) -> None:
    process = start(how)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "killed by SIGKILL" in said and re.search(r"python -m r1lab resume=\S*run\n", said), said


@pytest.mark.parametrize("whom", ["launcher", "terminal"])
def test_an_interrupt_ends_the_run_in_order(start: Any, workplace: Path, whom: str) -> None:
    """A terminal's Ctrl-C goes to every process of its group, `kill -INT` to the launcher alone."""
    process = start("sleep")
    wait_for((workplace / "run/started").exists)
    worker = int((workplace / "run/started").read_text())
    assert os.getpgid(worker) == worker != os.getpgid(process.pid)  # else the worker would hear Ctrl-C twice
    (os.killpg if whom == "terminal" else os.kill)(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said and "KeyboardInterrupt" not in said
    found = manifest(workplace / "run")
    assert (found["status"], found["exit"]) == ("interrupted", 130) and found["ended"]


def test_a_second_interrupt_ends_it_at_once(start: Any, workplace: Path) -> None:
    process = start("deaf")
    wait_for((workplace / "run/started").exists)
    worker = int((workplace / "run/started").read_text())
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert alive(worker)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130 and not alive(worker)


def test_a_launcher_that_is_killed_takes_its_worker_with_it(start: Any, workplace: Path) -> None:
    process = start("sleep")
    wait_for((workplace / "run/started").exists)
    worker = int((workplace / "run/started").read_text())
    assert alive(worker) and worker != process.pid
    process.kill()
    process.communicate(timeout=10)
    wait_for(lambda: not alive(worker), seconds=2)


def test_a_run_that_failed_can_be_started_again_in_its_folder(start: Any, workplace: Path) -> None:
    start("killed").communicate(timeout=60)
    (workplace / "run/run.yaml").write_text(
        (workplace / "run/run.yaml").read_text().replace("how: killed", "how: well")
    )
    process = start("well")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    found = manifest(workplace / "run")
    assert (found["status"], found["cause"], found["exit"], len(found["resumed"])) == ("finished", None, 0, 1)


def test_a_worker_killed_before_it_began_leaves_no_half_manifest(tmp_path: Path) -> None:
    """A resumed run reads from the manifest when the first one started."""
    error = failure(RunFolder(tmp_path), -signal.SIGKILL)
    assert isinstance(error, RunError) and "killed by SIGKILL" in str(error)
    assert not (tmp_path / "manifest.json").exists()


def test_two_runs_do_not_share_a_folder(start: Any, workplace: Path) -> None:
    first = start("sleep")
    wait_for((workplace / "run/started").exists)
    second = start("sleep")
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 2 and "is in use" in said, said
    assert first.poll() is None


@pytest.fixture
def small_disk(workplace: Path) -> Iterator[Path]:
    """A file system with room for little more than the planner asks for."""
    folder = workplace / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_message(start: Any, small_disk: Path) -> None:
    process = start("full disk", folder=str(small_disk / "run"))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert said.count("run cannot be written: is its disk full?") == 1
    assert "Traceback" not in said and "Logging error" not in said and len(said.splitlines()) < 8


def test_a_page_that_fails_does_not_fail_the_run(start: Any, workplace: Path) -> None:
    (workplace / "run/report.html").mkdir(parents=True)
    process = start("well")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert manifest(workplace / "run")["status"] == "finished"
    assert "the page was not written" in (workplace / "run/run.log").read_text()
