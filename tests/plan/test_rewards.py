"""What rewards need of a dataset, and rewards inside rewards, are checked before a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from r1lab.config.source import columns_and_settings
from r1lab.plan.rewards import needed_columns
from tests.command_line import CommandLine

Write = Callable[[str, str | bytes], Path]
MINE = """
def brevity(completions, level, prompts=None, hint=None, *, most: int = 3, least: int = 1, **columns): ...

class Memory:
    def __init__(self, size: int, name: str = "x"): ...
    def __call__(self, completions, topic, hint=None): ...
"""


@pytest.fixture
def mine(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    write("plan_mine.py", MINE)
    write("my_conf/reward/brevity.yaml", "brevity:\n  _target_: plan_mine.brevity\n")
    write("my_conf/reward/memory.yaml", "memory:\n  _target_: plan_mine.Memory\n  size: 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    return ["--config-dir", "my_conf", "plugins=[plan_mine]", "dataset=local", "dataset.path=x.csv"]


def test_columns_and_settings_of_functions_and_classes(mine: list[str]) -> None:
    columns, settings = columns_and_settings("plan_mine.brevity") or ({}, {})
    assert {name: item.required for name, item in columns.items()} == {
        "completions": True,
        "level": True,
        "prompts": False,
        "hint": False,
    }
    assert list(settings) == ["most", "least"]
    columns, settings = columns_and_settings("plan_mine.Memory") or ({}, {})
    assert list(columns) == ["completions", "topic", "hint"] and list(settings) == ["size", "name"]
    columns, settings = columns_and_settings("r1lab.rewards.text.code_format") or ({}, {})
    assert not columns["language"].required and settings["language"].annotation == "str"
    assert columns_and_settings("plan_mine.nothing") is None


def test_optional_columns_may_be_missing(mine: list[str], r1lab: CommandLine, write: Write) -> None:
    write("x.csv", "problem,answer,level\n1,2,3\n")
    assert list(r1lab.accepts(*mine[2:], "reward=[brevity]", config_dir=Path("my_conf")).reward) == ["brevity"]
    finding = r1lab.one(*mine, "reward=[memory]")
    assert finding["what"] == "reward memory reads column 'topic', which x.csv lacks"
    finding = r1lab.one(*mine, "reward=[brevity]", "+reward.brevity.hint=x")
    assert finding["what"] == "reward.brevity.hint is not a field of plan_mine.brevity"
    finding = r1lab.one(*mine, "reward=[brevity]", "+reward.brevity.most=many")
    assert finding["what"] == "reward.brevity.most takes a whole number, not 'many'"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["reward=[weighted_sum]"], "reward.weighted_sum.parts has no value"),
        (
            ["reward=[weighted_sum]", "reward.weighted_sum.parts={acuracy: 1.0}"],
            "reward.weighted_sum.parts.acuracy: there is no reward 'acuracy'",
        ),
        (
            ["reward=[weighted_sum]", "reward.weighted_sum.parts={cosine: {maxlen: 3}}"],
            "reward.weighted_sum.parts.cosine.maxlen is not a field of r1lab.rewards.length.cosine",
        ),
        (
            ["reward=[weighted_sum]", "reward.weighted_sum.parts={cosine: {max_len: long}}"],
            "reward.weighted_sum.parts.cosine.max_len takes a whole number, not 'long'",
        ),
        (
            ["reward=[weighted_sum]", "reward.weighted_sum.parts={accuracy: high}"],
            "reward.weighted_sum.parts.accuracy.weight takes a number, not 'high'",
        ),
        (["reward=[gate]", "reward.gate.then=acuracy"], "reward.gate.then.acuracy: there is no reward 'acuracy'"),
        (
            ["reward=[repetition_penalty]", "reward.repetition_penalty.max_penalty=0.5"],
            "reward.repetition_penalty.max_penalty=0.5 is out of range",
        ),
        (
            ["reward=[repetition_penalty]", "reward.repetition_penalty.language=fr"],
            "reward.repetition_penalty.language takes en or zh, not 'fr'",
        ),
        (["reward.accuracy.max_failures=2"], "reward.accuracy.max_failures=2 is out of range"),
        (["reward.accuracy.max_failures=some"], "reward.accuracy.max_failures takes a number, not 'some'"),
    ],
)
def test_what_does_not_fit_is_refused(words: list[str], what: str, r1lab: CommandLine) -> None:
    assert what in [item["what"].replace("'en'", "en").replace("'zh'", "zh") for item in r1lab.all(*words)]


def test_the_columns_of_parts_are_needed_as_well(r1lab: CommandLine, mine: list[str], write: Write) -> None:
    write("x.csv", "problem,gold\n1,2\n")
    parts = "reward.weighted_sum.parts={format: 1, gate: {first: {cosine: {}}, then: format}}"
    cfg = r1lab.plan("reward=[weighted_sum]", parts).cfg
    assert needed_columns(cfg) == {"weighted_sum": ["solution"]}
    finding = r1lab.one(*mine, "reward=[weighted_sum]", parts)
    assert finding["what"].endswith("x.csv has no such column; reward weighted_sum compares with it")
    own = "reward.weighted_sum.parts={mine: {_target_: plan_mine.brevity, most: 2}}"
    assert r1lab.one(*mine, "reward=[weighted_sum]", own)["what"] == (
        "reward weighted_sum reads column 'level', which x.csv lacks"
    )
