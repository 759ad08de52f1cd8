"""task=compare: what it refuses to pair."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from r1lab.errors import ConfigError, DataError
from r1lab.evaluation.result import keep, result_of
from r1lab.tasks.compare import run
from tests.evaluation.building import problem, record, sample


def left(folder: Path, ids: str, benchmark: bool, path: str | None = None) -> str:
    """A run that measured problems of these names, as a benchmark or as a dataset called arithmetic."""
    found = record(*[problem(name, sample(1.0)) for name in ids], benchmark="arithmetic")
    keep(folder, found, result_of(found, [1]))
    settings = {"model": {"name": "tiny", "path": path}, "benchmark": {"arithmetic": {}} if benchmark else {}}
    OmegaConf.save(OmegaConf.create({"task": {"name": "eval"}, **settings}), folder / "run.yaml")
    return str(folder)


def compared(*runs: str) -> None:
    run(OmegaConf.create({"task": {"runs": list(runs)}}))


@pytest.mark.parametrize("path, words", [(None, "model=tiny"), ("my models/a", "model.path='my models/a'")])
def test_a_benchmark_and_a_dataset_of_one_name(tmp_path: Path, path: str | None, words: str) -> None:
    one, other = left(tmp_path / "one", "abc", True), left(tmp_path / "other", "xyz", False, path)
    for runs in ((one, other), (other, one)):
        with pytest.raises(ConfigError) as refused:
            compared(*runs)
        (finding,) = refused.value.findings
        assert finding.what.startswith(f"arithmetic is a benchmark in {one} and the held-out rows of the dataset")
        assert finding.fix == f"python -m r1lab task=eval benchmark=arithmetic {words}, and compare that run with {one}"
        assert finding.where == f"task.runs=[{runs[0]},{runs[1]}]"


def test_results_of_one_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = left(tmp_path / "one", "abc", False), left(tmp_path / "other", "bcd", False)
    compared(one, other)
    assert "2 problems" in capsys.readouterr().out
    with pytest.raises(DataError, match="share no problem"):
        compared(one, left(tmp_path / "apart", "xyz", False))
    (tmp_path / "one/run.yaml").unlink()
    compared(one, other)
    with pytest.raises(DataError, match="share no problem"):
        compared(one, left(tmp_path / "benchmark", "xyz", True))
