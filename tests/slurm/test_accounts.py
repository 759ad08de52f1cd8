"""A cluster that keeps accounts: names that nobody may use are refused before sbatch, the others reach Slurm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import ACCOUNTING, Cluster, lacking
from tests.slurm.conftest import MINE
from tests.slurm.test_queue import jobs_of, sweep_of

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster where root belongs to the account lab, and may use the qualities of service normal and high."""
    if reason := lacking(*ACCOUNTING):
        pytest.skip(f"{reason}; apt install slurmdbd mariadb-server-core")
    cluster = Cluster(tmp_path_factory.mktemp("accounts") / "slurm", nodes=2, accounts=True)
    try:
        for words in ("qos high", "account lab", "account others", "user root account=lab qos=normal,high"):
            cluster.run("sacctmgr", "-i", "add", *words.split())
        yield cluster
    finally:
        cluster.stop()


def test_accounts_and_qualities_of_service(accounts: Cluster, workplace: Path) -> None:
    said = accounts.r1lab(*MINE, "cluster.account=labs", "cluster.qos=hihg", check=False)
    assert said.returncode == 2
    assert "cluster.account=labs is none that you may use" in said.stderr
    assert "nearest  cluster.account=lab\n" in said.stderr
    assert "cluster.qos=hihg is none that you may use" in said.stderr
    assert "nearest  cluster.qos=high" in said.stderr
    assert accounts.run("squeue", "-h", "-t", "all").stdout == ""
    said = accounts.r1lab(*MINE, "cluster.account=lab", "cluster.qos=high")
    sweep = sweep_of(said.stdout)
    job = jobs_of(sweep)[0]
    listed = accounts.run("squeue", "-h", "-t", "all", "-j", job.partition("_")[0], "-o", "%a|%q").stdout
    assert listed.split() == ["lab|high"]
    parent = job.partition("_")[0]
    kept = ["sacct", "-n", "-X", "-P", "-j", parent, "-o", "State,Account,QOS"]
    accounts.wait_for(lambda: accounts.run(*kept).stdout.strip() == "COMPLETED|lab|high", 30)
