"""What Slurm costs: submitting 200 runs beside Hydra's own composing of them, and a death on one of four nodes.

    python -m benchmarks.slurm            # needs what tests/slurm needs: root, slurm-wlm, munge, iproute2

Submitting is the whole command until it returns with `cluster.wait=false`, planning of every run included; beside it,
the same 200 runs through Hydra's basic launcher with a job that does nothing. The death: from the moment before rank 2
of a run on four nodes kills itself to Slurm's word that the job has failed, with that rank's death as the cause.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Cost, keep, median
from tests.slurm.cluster import Cluster
from tests.slurm.test_nodes import CPU, SPREAD, WORDS

RUNS = 200
BARE = """
import sys, hydra
from r1lab.config.compose import register
from r1lab.config.experiments import CONF
register()
hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(lambda cfg: None)()
"""
SWEEP = ("-m", f"seed=range({RUNS})", "accelerator=cpu")


def cost(cluster: Cluster, *words: str) -> Cost:
    """Run a command on the login node and measure it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    cluster.run(*words, timeout=600)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def submitting(cluster: Cluster, rounds: int) -> dict[str, object]:
    """Seconds of both, in turns."""
    ours = (sys.executable, "-m", "r1lab", *SWEEP, "hydra/launcher=submitit_slurm", "cluster.wait=false")
    ours += ("cluster.python=/bin/true",)  # what the runs do is not measured
    pairs = [(cost(cluster, sys.executable, "-c", BARE, *SWEEP), cost(cluster, *ours)) for _ in range(rounds)]
    bare, own = (median(costs) for costs in zip(*pairs, strict=True))
    return {
        "runs": RUNS,
        "hydra": bare,
        "r1lab": own,
        "beyond_s": [round(own.wall - bare.wall, 2) for bare, own in pairs],
        "beyond_cpu_s": [round(own.cpu - bare.cpu, 2) for bare, own in pairs],
    }


def dying(cluster: Cluster, rounds: int) -> dict[str, object]:
    """Seconds from a rank's death to the job's end, and the causes that were recorded."""
    Path("spread.py").write_text(SPREAD)
    seconds, causes = [], []
    for number in range(rounds):
        sweep = Path(f"deaths/{number}")
        words = (*WORDS, *CPU, "accelerator.nodes=4", "name=2-killed", f"hydra.sweep.dir={sweep}", "cluster.wait=false")
        cluster.run(sys.executable, "-m", "r1lab", *words, timeout=600)
        (job,) = json.loads((sweep / "slurm.json").read_text())["jobs"].values()
        cluster.wait_for(lambda job=job: cluster.state(job) in ("FAILED", "COMPLETED"), 300)
        seconds.append(round(time.time() - float((sweep / "0/died").read_text()), 2))
        causes.append(json.loads((sweep / "0/manifest.json").read_text())["cause"])
    return {"nodes": 4, "seconds": seconds, "causes": causes}


def main() -> None:
    """Entry of the benchmark; writes benchmarks/results/slurm.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    root = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder) / "cluster")
        try:
            (Path(folder) / "work").mkdir()
            os.chdir(Path(folder) / "work")
            os.environ["PYTHONPATH"] = str(root)
            submitted = submitting(cluster, rounds)
            died = dying(cluster, rounds)
        finally:
            cluster.stop()
            os.chdir(root)
        load = os.getloadavg()[1]
        keep("slurm", {"submitting": submitted, "death": died, "load_5min": round(load, 1)})


if __name__ == "__main__":
    main()
