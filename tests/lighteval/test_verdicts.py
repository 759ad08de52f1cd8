"""lighteval for real: what it asks, what it makes of completions whose verdicts are known, and what is left of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1lab.engines.base import seed_of
from r1lab.evaluation.records import Record
from tests.lighteval.completions import SAMPLES, STORED
from tests.lighteval.conftest import SEED

Left = tuple[Path, dict[str, Record]]


def rights(record: Record) -> list[list[bool | None]]:
    return [[sample.right for sample in problem.samples] for problem in record.problems]


@pytest.mark.parametrize("name", STORED)
def test_its_own_tasks_judge_as_is_known(stock: Left, name: str) -> None:
    assert rights(stock[1][name]) == [[item.theirs for item in row] for row in STORED[name]]


@pytest.mark.parametrize("name", STORED)
def test_its_metrics_judge_our_prompts_alike(ours: Left, name: str) -> None:
    assert rights(ours[1][name]) == [[item.theirs for item in row] for row in STORED[name]]


def test_records_tell_what_was_asked_and_sampled(stock: Left) -> None:
    _, records = stock
    assert set(records) == set(STORED)
    aime = records["aime24"]
    assert [problem.id for problem in aime.problems] == ["60", "61", "62", "64", "63"]
    assert aime.asked == SAMPLES and aime.missing == ()
    first = aime.problems[0]
    assert first.gold == "42" and "$17 + 25$" in first.prompt and "\\boxed{ANSWER}" in first.prompt
    sample = first.samples[0]
    asked = [{"role": "user", "content": first.prompt}]
    assert (sample.finish, sample.tokens, sample.prompt_tokens) == ("stop", 11, 7)
    assert [item.seed for item in first.samples] == [seed_of(SEED, asked, i) for i in range(SAMPLES)]
    assert (first.samples[0].answer, first.samples[2].answer) == ("42", None)
    assert records["lcb"].problems[0].samples[3].answer is None
    assert "int(input())" in str(records["lcb"].problems[0].samples[0].answer)
    assert {(item.text, item.score, item.finish) for item in aime.problems[3].samples} == {("", None, "overflow")}
    assert "maximum context length" in aime.problems[3].samples[0].reason
    assert aime.made_by["versions"]["lighteval"] == "0.13.0"
    assert aime.made_by["scorer"] == {"lighteval": "aime/aime24"}


def test_a_run_leaves_what_native_leaves(stock: Left) -> None:
    folder, _ = stock
    metrics = json.loads((folder / "metrics.json").read_text())
    # 2, 3, 1 and 2 of 4 by lighteval; the problem without completions does not count
    assert metrics["eval/aime24/pass@1"] == pytest.approx((2 + 3 + 1 + 2) / 16)
    assert metrics["eval/aime24/pass@4"] == 1.0
    assert metrics["eval/aime24/pass@1_low"] < 0.5 < metrics["eval/aime24/pass@1_high"]
    result = json.loads((folder / "evaluation" / "gpqa-diamond.json").read_text())
    assert result["made_by"]["evaluator"] == "lighteval" and result["asked"] == SAMPLES
    assert (folder / "report.html").is_file()
    assert json.loads((folder / "manifest.json").read_text())["status"] == "finished"


def test_its_own_files_are_there_and_say_the_same(stock: Left) -> None:
    folder, records = stock
    said = {}
    for file in sorted((folder / "lighteval" / "results").rglob("results_*.json")):
        content = json.loads(file.read_text())["results"]
        said |= {name.partition("|")[0]: value["pass@1"] for name, value in content.items() if name != "all"}
    shares = {
        name: sum(bool(sample.right) for problem in record.problems for sample in problem.samples)
        / sum(len(problem.samples) for problem in record.problems)
        for name, record in records.items()
    }
    assert said == pytest.approx(shares)
    assert len(list((folder / "lighteval" / "details").rglob("*.parquet"))) == len(STORED)
    assert not (folder / "lighteval" / "rows" / "lcb").exists()
