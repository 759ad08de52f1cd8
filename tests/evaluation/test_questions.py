"""Benchmarks as they come: their schemas in small, and files that are not as they should be."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from r1lab.config.compose import compose_words, session
from r1lab.errors import ConfigError, DataError
from r1lab.evaluation.questions import Questions, questions_of
from r1lab.plan.checks import plan
from tests.lighteval import miniatures

AIME, GPQA = miniatures.AIME[:3], miniatures.GPQA[:3]
LCB = [row for row in miniatures.LCB if row["question_id"] in ("double", "lines", "square")]
MODEL = "model=deepseek-r1-distill-qwen-1.5b"


def asked(tmp_path: Path, name: str, rows: list[Any], *words: str) -> Questions:
    """A benchmark over rows, by its shipped file."""
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with session():
        cfg, _ = compose_words(["task=eval", MODEL, f"benchmark=[{name}]", f"benchmark.{name}.path={file}", *words])
        resolved: DictConfig = plan(cfg, tmp_path).cfg
    return questions_of(name, resolved.benchmark[name])


def test_a_question_is_the_problem_and_the_gold_answer_stays_out_of_it(tmp_path: Path) -> None:
    found = asked(tmp_path, "aime24", AIME)
    assert [item.id for item in found.asked] == ["60", "61", "62"] and found.missing == []
    first = found.asked[0]
    assert first.gold == first.columns["solution"] == "42"
    (turn,) = first.prompt
    assert turn["role"] == "user" and turn["content"].startswith("Find $17 + 25$.\n\n")
    assert "\\boxed{}" in turn["content"] and "42" not in turn["content"]


def test_rows_without_question_or_answer_are_left_out_and_named(tmp_path: Path) -> None:
    broken = [*AIME, {**AIME[0], "id": 70, "answer": None}, {**AIME[0], "id": 71, "problem": ""}]
    found = asked(tmp_path, "aime24", broken)
    assert len(found.asked) == 3
    assert found.missing == [("70", "it has no gold answer"), ("71", "column problem is empty")]


def test_two_problems_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"two of its problems are '60'"):
        asked(tmp_path, "aime24", [*AIME, {**AIME[1], "id": 60}])
    with pytest.raises(DataError, match="two problems are the same"):
        asked(tmp_path, "aime24", [*AIME, {**AIME[0], "id": 99}], "benchmark.aime24.id=null")


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'answer'[^§]*problem"):
        asked(tmp_path, "aime24", [{"id": 1, "problem": "x"}])
    with pytest.raises(ConfigError) as caught:
        asked(tmp_path, "aime24", AIME, 'benchmark.aime24.prompt="{{ problm }}"')
    assert caught.value.findings[0].nearest == "{{ problem }}"
    with pytest.raises(DataError, match="nothing of it can be asked: it has no gold answer"):
        asked(tmp_path, "aime24", [{**row, "answer": " "} for row in AIME])


def test_the_order_of_choices_depends_on_seed_and_problem_alone(tmp_path: Path) -> None:
    many = [{**GPQA[0], "Record ID": f"r{i}"} for i in range(200)]
    found = asked(tmp_path, "gpqa-diamond", many)
    golds = {item.id: item.gold for item in found.asked}
    assert all(
        25 < list(golds.values()).count(letter) < 75 for letter in "ABCD"
    )  # 50 each, three standard errors are 18
    shuffled = many[:]
    random.Random(1).shuffle(shuffled)
    assert {
        item.id: item.gold for item in asked(tmp_path, "gpqa-diamond", shuffled[:50]).asked
    }.items() <= golds.items()
    other = asked(tmp_path, "gpqa-diamond", many, "benchmark.gpqa-diamond.order_seed=1")
    assert 0.1 < sum(item.gold == golds[item.id] for item in other.asked) / 200 < 0.45
    assert other.wording != found.wording and other.data != found.data
    for item in found.asked[:20]:
        right = [line for line in item.prompt[0]["content"].splitlines() if line == f"{item.gold}) neutron"]
        assert len(right) == 1


def test_a_choice_that_is_empty_or_right_twice_is_left_out(tmp_path: Path) -> None:
    rows = [GPQA[0], {**GPQA[1], "Incorrect Answer 2": " "}, {**GPQA[2], "Incorrect Answer 1": "23 "}]
    found = asked(tmp_path, "gpqa-diamond", rows)
    assert [why for _, why in found.missing] == [
        "one of its choices is empty",
        "one of its wrong choices is the right one",
    ]


def test_programs_ask_for_stdin_or_for_the_starter_code(tmp_path: Path) -> None:
    found = asked(tmp_path, "lcb", LCB)
    by_stdin, _, by_call = (item.prompt[0]["content"] for item in found.asked)
    assert "standard input" in by_stdin and "Complete this code" not in by_stdin
    assert "class Solution:" in by_call and "standard input" not in by_call
    assert found.asked[0].gold is None


def test_digests_follow_the_content_and_not_the_order(tmp_path: Path) -> None:
    one, other = asked(tmp_path, "aime24", AIME), asked(tmp_path, "aime24", AIME[::-1])
    assert (one.data, one.wording) == (other.data, other.wording)
    fewer = asked(tmp_path, "aime24", AIME, "benchmark.aime24.problems=2")
    assert len(fewer.asked) == 2 and fewer.data != one.data
    prompted = asked(tmp_path, "aime24", AIME, 'benchmark.aime24.system_prompt="Be brief."')
    assert prompted.data == one.data and prompted.wording != one.wording
    assert prompted.asked[0].prompt[0] == {"role": "system", "content": "Be brief."}


def test_other_tests_of_the_same_problems_are_other_data(tmp_path: Path) -> None:
    """A program's problem has no gold answer: what it is judged by are its tests, and not the day it was set."""
    found = asked(tmp_path, "lcb", LCB)
    tests = json.dumps([{"input": "4", "output": "9", "testtype": "stdin"}])
    other = asked(tmp_path, "lcb", [{**LCB[0], "public_test_cases": tests}, *LCB[1:]])
    assert other.wording == found.wording and other.data != found.data
    assert asked(tmp_path, "lcb", [{**row, "platform": "elsewhere"} for row in LCB]).data == found.data
