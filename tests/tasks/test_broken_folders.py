"""Folders in which a crash of the machine, or a hand, broke a file: tasks that look at many runs name it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r1lab.errors import DataError
from r1lab.evaluation.board import results_under
from r1lab.evaluation.result import keep, kept_records, kept_results, result_of
from r1lab.notebook import compose
from r1lab.plan.rescore import check_rescore
from r1lab.runs.folder import RunFolder
from r1lab.tasks import status
from tests.evaluation.building import problem, record, sample

UGLY = (b"{", b"", b"[]\n", b"3\n", b"null\n", b'{"status": "fini', b"\xff\xfe\x00\x01")


def left(folder: Path) -> Path:
    """A run's folder with an evaluation of a benchmark."""
    run = RunFolder(folder)
    found = record(problem("1", sample(1.0)), problem("2", sample(0.0)))
    keep(folder, found, result_of(found))
    (folder / "run.yaml").write_text("task: {name: eval}\nbenchmark: {aime24: {samples: 1}}\nmodel: {repo: me/mine}\n")
    run.write_json("manifest.json", {"status": "finished"})
    run.write_json("metrics.json", {"eval/aime24/pass@1": 0.5})
    run.append("metrics.jsonl", [{"step": 0, "eval/aime24/pass@1": 0.5}])
    run.append("completions/eval.jsonl", [{"step": 0, "completion": "5", "prompt": "?", "solution": "5"}])
    return folder


def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What task=status says of each run below a folder, by its name."""
    status.run(compose("task=status", f"task.run={folder}", "task.json=true"))
    return {Path(item["run"]).name: item for item in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("content", UGLY)
@pytest.mark.parametrize("name", ["manifest.json", "metrics.json"])
def test_status_tells_the_others_and_names_the_broken_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    (left(tmp_path / "broken") / name).write_bytes(content)
    left(tmp_path / "whole")
    found = told(tmp_path, capsys)
    assert found["whole"]["state"] == "finished"
    assert found["broken"]["state"] == "unreadable" and f"broken/{name} cannot be read" in found["broken"]["why"]


@pytest.mark.parametrize("content", [*UGLY, b'{"step": "x"}\n', b"{}\n"])
@pytest.mark.parametrize("name", ["metrics.jsonl", "run.yaml"])
def test_status_does_without_a_stream_and_a_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    (left(tmp_path / "broken") / name).write_bytes(content)
    assert told(tmp_path, capsys)["broken"]["state"] == "finished"


@pytest.mark.parametrize("content", [*UGLY, b'{"stages": 3}', b'{"stages": [{"name": "a"}]}'])
def test_status_names_a_broken_pipeline_among_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    left(tmp_path / "whole")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/pipeline.json").write_bytes(content)
    found = told(tmp_path, capsys)
    assert found["whole"]["state"] == "finished" and "torn/pipeline.json cannot be read" in found["torn"]["why"]


@pytest.mark.parametrize("content", [b"{", b"a: [\n", b"3\n", b"\xff\xfe"])
def test_rescoring_does_not_take_the_page_s_completions_for_all(tmp_path: Path, content: bytes) -> None:
    (left(tmp_path / "run") / "run.yaml").write_bytes(content)
    cfg = compose("task=rescore", f"task.completions={tmp_path / 'run'}", "reward=[accuracy]")
    (found,) = check_rescore(cfg, str)
    assert "run.yaml cannot be read" in found.what and found.fix.endswith("/evaluation")
    cfg.task.completions = str(tmp_path / "run/evaluation")
    assert check_rescore(cfg, str) == []


@pytest.mark.parametrize("content", [*UGLY, b'{"version": 1}', b'{"version": 1, "measures": 3}'])
def test_a_broken_result_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (left(tmp_path / "a") / "evaluation/aime24.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a/evaluation/aime24\.json is no result"):
        results_under([tmp_path])


@pytest.mark.parametrize("part", ["benchmark", "asked", "primary", "measures", "doubts", "fingerprint", "made_by"])
def test_a_result_that_lacks_a_part_is_refused(tmp_path: Path, part: str) -> None:
    file = left(tmp_path / "a") / "evaluation/aime24.json"
    file.write_text(json.dumps({name: value for name, value in json.loads(file.read_text()).items() if name != part}))
    with pytest.raises(DataError, match=r"aime24\.json is no result"):
        list(kept_results(tmp_path / "a"))


@pytest.mark.parametrize("content", UGLY)
def test_a_broken_record_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (left(tmp_path / "a") / "evaluation/aime24.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=r"aime24\.jsonl is no record"):
        kept_records(tmp_path / "a")
