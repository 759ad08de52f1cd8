"""A few random kills; `make drill` has fifty."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.drill.cluster_kills import KINDS, drill
from tests.slurm.cluster import Cluster


@pytest.mark.slurm
@pytest.mark.timeout(900)
def test_whatever_is_killed_the_run_ends_well(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # shown where it fails
    kinds = tuple(random.Random(seed).sample(KINDS, 3))
    monkeypatch.setattr("tests.drill.cluster_kills.Drill.calm", 10)
    result = drill(cluster, tmp_path / "runs", 3, seed, kinds)
    assert [hit["kind"] for hit in result["hits"]] == list(kinds)
