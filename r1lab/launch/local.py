"""One run on this machine: write its folder, start its processes, tell how it ended.

The run is a child process even where it is the only one: it starts in a clean environment, and neither running out of
memory nor a crash in native code takes a sweep or a notebook with it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from r1lab.errors import Finding, ResumeError, RunError
from r1lab.launch.environment import environment, environment_as
from r1lab.launch.supervisor import supervise
from r1lab.runs import manifest
from r1lab.runs.folder import STARTER, RunFolder
from r1lab.runs.states import FAILED
from r1lab.slurm.commands import present
from r1lab.slurm.states import in_queue, under_way


def launch(cfg: DictConfig, run_dir: Path, typed: str = "") -> dict[str, Any]:
    """Run a planned config to its end.

    Args:
        cfg: the resolved config, as `plan` returns it.
        run_dir: the run's folder; `run.yaml` is written into it.
        typed: the command that asked for this run, for the manifest.

    Returns:
        The run's final metrics.

    Raises:
        ResumeError: another process has the folder, or a queue has the run.
        RunError: the run failed; the message is its cause.
        UserError: the run found, once its libraries were loaded, that it cannot run as asked.
        KeyboardInterrupt: the run was interrupted.
    """
    folder = RunFolder(run_dir)
    if present() and (item := under_way(run_dir)):
        raise ResumeError(in_queue(item))
    with folder.locked(STARTER):
        with folder.locked():  # by a run whose starter was killed, and which has not ended yet
            run_yaml = folder.write_config(cfg)
        if not cfg.debug:
            return supervise(run_yaml, typed=typed)
        from r1lab.launch.worker import work  # only a debugger wants torch in this process

        with environment_as(environment(cfg)), folder.locked():
            try:
                return work(run_yaml, typed)
            except BaseException as error:
                manifest.end(folder, FAILED, 1, f"{type(error).__name__}: {error}")
                raise


def audit(cfg: DictConfig) -> list[Finding]:
    """What the audit of a planned config finds, in a process of its own; nothing is started and no folder is left.

    Raises:
        RunError: the audit itself failed.
    """
    with tempfile.TemporaryDirectory(prefix="r1lab-") as beside:
        folder = RunFolder(beside)
        run_yaml = folder.write_config(cfg)
        command = [sys.executable, "-m", "r1lab.launch.audit", str(run_yaml)]
        child = subprocess.run(command, env=environment(cfg), capture_output=True, text=True, errors="replace")
        if child.returncode:
            raise RunError(f"the audit failed\n{child.stderr.strip()}")
        return [Finding(**finding) for finding in folder.read_json("audit.json")["findings"]]
