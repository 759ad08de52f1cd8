"""Sandbox servers as jobs of a real Slurm queue: found by themselves, shared fairly, ended in order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed"),
]
SERVERS = 3
SERVE = f"exec {sys.executable} -m r1lab task=sandbox_server task.port=0 task.parallel=1"
SCORE = r"""
import json
from r1lab.rewards import load
from r1lab.sandbox import shared
tests = [{"input": str(n), "output": str(2 * n)} for n in range(4)]
texts = ["```python\nprint(int(input()) * 2)\n```", "```python\nprint(2)\n```"]
scores = load("code", sandbox="piston")(texts, verification_info=[{"language": "python", "test_cases": tests}] * 2)
print(json.dumps([scores, [item.url for item in shared("piston")._pool.endpoints]]))
"""


def test_a_fleet_is_found_shared_and_ended(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    log = tmp_path / "server-%a.log"
    array = ("--array", f"1-{SERVERS}", "--exclusive", "--output", log)
    job = cluster.run("sbatch", "--parsable", *array, "--wrap", SERVE).stdout.strip()
    started = [tmp_path / f"server-{number}.log" for number in range(1, SERVERS + 1)]
    cluster.wait_for(lambda: all(file.exists() and "finds it" in file.read_text() for file in started), 180)

    training = [  # two processes of one training, on the login node
        subprocess.Popen(
            cluster.enter(sys.executable, "-c", SCORE),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PISTON_ENDPOINTS": "slurm", "RANK": str(rank), "WORLD_SIZE": "2"},
        )
        for rank in range(2)
    ]
    told = [json.loads(process.communicate(timeout=180)[0]) for process in training]
    assert [scores for scores, _ in told] == [[1.0, 0.25]] * 2
    mine, others = (set(urls) for _, urls in told)
    assert not mine & others
    assert sorted([len(mine), len(others)]) == [1, 2]
    hosts = {url.split("/")[2].partition(":")[0] for url in mine | others}
    assert len(hosts) == SERVERS and hosts <= {f"n{number}" for number in range(cluster.nodes)}

    cluster.run("scancel", job)
    cluster.wait_for(lambda: all("sandbox server: ended" in file.read_text() for file in started))
    cluster.wait_for(lambda: not cluster.processes("sandbox_server", "spawner.py"))
    env = {"PISTON_ENDPOINTS": "slurm"}
    alone = cluster.run(sys.executable, "-c", SCORE, check=False, env=env)
    assert "no running Slurm job is named piston-worker-PORT" in alone.stderr
