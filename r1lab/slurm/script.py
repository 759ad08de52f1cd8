"""The batch script of a job array, from a run's `cluster` node: pure text."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from omegaconf import DictConfig

from r1lab.launch.roles import nodes
from r1lab.runs.folder import AGAIN

LOG = "slurm.log"  # in the run's folder: what every process of the job printed, of all its starts
ALLOWANCE = 15  # seconds before the end at which a run that did not save in time goes back with an older checkpoint
OWNED = {  # sbatch's options that follow from r1lab's own words
    "array": "the runs of the sweep",
    "chdir": "the folder where the command runs",
    "error": "the run's folder",
    "nodes": "accelerator.nodes",
    "ntasks": "accelerator.nodes",
    "ntasks-per-node": "accelerator.processes",
    "output": "the run's folder",
    "open-mode": "the run's folder",
    "signal": "cluster.warning",
    "partition": "cluster.partition",
    "account": "cluster.account",
    "qos": "cluster.qos",
    "constraint": "cluster.constraint",
    "time": "cluster.time",
    "gpus-per-node": "cluster.gpus",
    "cpus-per-task": "cluster.cpus",
    "mem": "cluster.memory",
    "exclusive": "cluster.exclusive",
    "dependency": "cluster.after",
    "requeue": "cluster.requeue",
    "no-requeue": "cluster.requeue",
    "job-name": "name",
}
BODY = """
# Written by r1lab. Each task of the array is one run: `sbatch` of it starts those again that have not finished.
run={run}
rm -f "$run/{again}"
touch "$run/.started"
newer() {{ [ -n "$(find "$run/checkpoints" -newer "$run/.started" -name COMPLETE 2>/dev/null | head -n 1)" ]; }}
warn() {{ # the time is nearly up: every process of the run is told; one that cannot save in time goes on from before
  kill -USR1 "$step"
  (sleep {last_call} && newer && scontrol requeue "$SLURM_JOB_ID") &
  late=$!
}}
trap warn USR1
srun {srun} \\
  {command} "$run" &
step=$!
wait "$step"; code=$?
while kill -0 "$step" 2>/dev/null; do wait "$step"; code=$?; done
[ -n "$late" ] && kill "$late" 2>/dev/null
if [ -e "$run/{again}" ]; then scontrol requeue "$SLURM_JOB_ID" && sleep 60; fi
exit "$code"
"""


def gpus_of(cfg: DictConfig) -> int:
    """GPUs to ask for of each node."""
    if cfg.cluster.gpus is not None:
        return int(cfg.cluster.gpus)
    return int(cfg.accelerator.gpus or cfg.accelerator.processes) if cfg.accelerator.device == "cuda" else 0


def header(cfg: DictConfig, output: Path | str) -> list[str]:
    """sbatch's options for a run, without the array: runs with equal ones can share an array.

    Args:
        cfg: the resolved config.
        output: the file for what the job prints; `%a` stands for the array's index.
    """
    cluster = cfg.cluster
    options: dict[str, object] = {
        "job-name": str(cfg.name).replace("/", "-"),
        "output": str(output),
        "open-mode": "append",
        "nodes": nodes(cfg),
        "ntasks-per-node": 1,
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "time": cluster.time,
        "gpus-per-node": gpus_of(cfg) or None,
        "cpus-per-task": cluster.cpus,
        "mem": cluster.memory,
        "exclusive": True if cluster.exclusive else None,
        "dependency": f"afterok:{':'.join(map(str, cluster.after))}" if cluster.after else None,
        "kill-on-invalid-dep": "yes" if cluster.after else None,
        "requeue" if cluster.requeue else "no-requeue": True,
        "signal": f"B:USR1@{cluster.warning}" if cluster.requeue and cluster.warning else None,
        **cluster.options,
    }
    return [
        f"#SBATCH --{name}" if value is True else f"#SBATCH --{name}={shlex.quote(str(value))}"
        for name, value in options.items()
        if value is not None and value is not False
    ]


def script(cfg: DictConfig, head: Iterable[str], indices: Iterable[int], run: str) -> str:
    """The whole script.

    Args:
        cfg: the resolved config of one of the runs; of the others, only what no header says may differ.
        head: lines of `header`.
        indices: the array's.
        run: the run's folder, as text of the shell.
    """
    cluster = cfg.cluster
    parallel = f"%{cluster.parallel}" if cluster.parallel else ""
    array = f"#SBATCH --array={ranges(indices)}{parallel}"
    srun = ["--kill-on-bad-exit=1", f"--ntasks={nodes(cfg)}", "--ntasks-per-node=1"]
    srun += [f"--cpus-per-task={cluster.cpus}"] if cluster.cpus else []
    if cluster.container:
        mounts = ",".join([f"{Path.cwd()}:{Path.cwd()}", *cluster.mounts])
        srun += [f"--container-image={shlex.quote(cluster.container)}", f"--container-mounts={shlex.quote(mounts)}"]
        srun += [f"--container-workdir={shlex.quote(str(Path.cwd()))}"]
    inner = shlex.join([cluster.python or sys.executable, "-m", "r1lab.launch.slurm_node"])
    if cluster.setup:  # inside the container and on every node, so not before srun
        lines = "; ".join([*cluster.setup, f'exec {inner} "$0"'])
        inner = f"bash -c {shlex.quote(f'set -e; {lines}')}"
    body = BODY.format(
        run=run, again=AGAIN, srun=" ".join(srun), command=inner, last_call=max(cluster.warning - ALLOWANCE, 1)
    )
    return "\n".join(["#!/bin/bash", *head, array, *body.splitlines(), ""])


def ranges(indices: Iterable[int]) -> str:
    """Whole numbers as Slurm writes them: 0-2,5."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in parts)
