"""A command that is killed when Slurm has just taken its runs: the next ones know of them, and start none twice."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.conftest import MINE
from tests.slurm.test_queue import jobs_of, status

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
SBATCH = """\
#!/bin/bash
{sbatch} "$@" || exit
[[ " $* " == *" --test-only "* ]] || kill -KILL $PPID
"""


def test_what_slurm_has_taken_is_not_started_again(cluster: Cluster, workplace: Path) -> None:
    program = workplace / "bin/sbatch"
    program.parent.mkdir()
    program.write_text(SBATCH.format(sbatch=shutil.which("sbatch")))
    program.chmod(0o755)
    words = (*MINE, "task.seconds=300", "-m", "seed=1,2", "cluster.wait=false")
    path = f"{program.parent}:{os.environ['PATH']}"
    killed = cluster.run(sys.executable, "-m", "r1lab", *words, check=False, env={"PATH": path})
    assert killed.returncode not in (0, 1, 2) and "in the queue" not in killed.stdout
    (sweep,) = Path("outputs/sweeps").iterdir()
    cluster.wait_for(lambda: (sweep / "0/here.json").is_file() and (sweep / "1/here.json").is_file())
    before = sorted(cluster.run("squeue", "-h", "-r", "-o", "%i").stdout.split())
    assert {item["state"] for item in status(cluster, sweep).values()} == {"running"}
    assert sorted(jobs_of(sweep).values()) == before

    again = cluster.r1lab(*words)
    assert "in the queue as" not in again.stdout
    for other in ([f"resume={sweep / '0'}", "cluster=slurm"], [f"resume={sweep / '0'}"]):
        said = cluster.r1lab("--config-dir", "conf", *other, check=False)
        assert said.returncode == 2
        assert f"{sweep / '0'} is running as {before[0]} of Slurm's" in said.stderr
    assert sorted(cluster.run("squeue", "-h", "-r", "-o", "%i").stdout.split()) == before
    assert "2 runs cancelled, 0 had ended" in cluster.r1lab("task=cancel", f"task.run={sweep}").stdout
