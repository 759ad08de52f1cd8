"""The words of task=decontaminate and task=filter, and the findings about them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from r1lab.config.experiments import CONF
from r1lab.rows.against import benchmarks_of
from r1lab.rows.mixture import settings_of
from tests.command_line import CommandLine


def test_decontamination(r1lab: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"problem": "a"}\n')
    base = ("task=decontaminate", "dataset=local", "dataset.path=rows.jsonl")
    assert r1lab.one(*base, "task.against=[aime24,aime_24]")["nearest"] == "aime24"
    twice = "task.against names 'exam' twice"
    assert (
        twice
        in r1lab.one(*base, "task.against=[{path: rows.jsonl, label: exam},{path: rows.jsonl, label: exam}]")["what"]
    )
    clash = "task.against: 'a-b' and 'a.b' would both flag in contaminated_a_b"
    assert (
        clash
        in r1lab.one(*base, "task.against=[{path: rows.jsonl, label: a-b},{path: rows.jsonl, label: a.b}]")["what"]
    )
    assert "rows.jsonl has no such column" in r1lab.one(*base, "dataset.prompt=text")["what"]
    lacking = r1lab.one(*base, "task.against=[{path: rows.jsonl, prompt: problm}]")
    assert lacking["nearest"] == "prompt: problem" and lacking["where"].startswith("override task.against")
    assert r1lab.one(*base, "task.duplicates=nea")["nearest"] == "task.duplicates=near"
    assert "task.ngram=0 is not a number of words" in r1lab.one(*base, "task.ngram=0")["what"]
    assert "task.similarity=1.5" in r1lab.one(*base, "task.similarity=1.5")["what"]
    assert "there is nothing to do" in r1lab.one(*base, "task.against=[]")["what"]
    cfg = r1lab.accepts(*base, "dataset.answer=null")
    assert cfg.name == "decontaminate-local" and cfg.reward == {}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["task.reward=acuracy"], "task.reward=acuracy is none of the rewards that score"),
        (["reward=[]"], "task=filter needs at least one reward"),
        (["task.low=0.8", "task.high=0.2"], "no mean is above task.low=0.8 and below task.high=0.2"),
        (["task.confidence=0.3"], "task.confidence=0.3 is not above 0.5 and at most 1"),
        (["task.shard=8", "task.shards=8"], "task.shard=8 of task.shards=8: parts are numbered from 0"),
        (["task.start=5", "task.end=5"], "task.end=5 is not after task.start=5"),
        (["task.start=-1"], "task.start=-1 is not the number of a row, from 0"),
        (["task.n=0"], "task.n=0 is out of range"),
        (["task.low=nan"], "task.low=nan is no number"),
        (["task.join=[]"], "task.join names no run, and samples nothing"),
    ],
)
def test_filtering(r1lab: CommandLine, words: list[str], what: str) -> None:
    found = r1lab.all("task=filter", *words)
    assert [item["what"][: len(what)] for item in found][:1] == [what]


def test_what_is_of_near_duplicates_is_told_where_none_are_looked_for(r1lab: CommandLine) -> None:
    plan = r1lab.plan("task=decontaminate", "task.similarity=0.9")
    told = [item.what for item in plan.findings if item.severity == "warning"]
    assert told == ["task.similarity is of near duplicates, which are not looked for"]
    plan = r1lab.plan("task=decontaminate", "task.similarity=0.9", "task.duplicates=near")
    assert not plan.findings


def test_a_band_in_which_no_mean_can_lie_is_told(r1lab: CommandLine) -> None:
    plan = r1lab.plan("task=filter", "reward=[accuracy]", "task.n=4", "task.low=0.3", "task.high=0.4")
    assert [item.what for item in plan.findings if item.severity == "warning"][:1] == [
        "of 4 samples that are right or wrong no mean is above 0.3 and below 0.4"
    ]


@pytest.mark.parametrize(
    ("name", "model", "dataset", "reward", "numbers"),
    [
        (
            "filter-demo",
            "deepseek-r1-distill-qwen-1.5b",
            "openr1-math-220k",
            "accuracy",
            (8, 2048, 0.7, 0.95, 0.2, 0.8),
        ),
        (
            "filter-dapo",
            "r1-distill-qwen-math-7b",
            "dapo-math-17k-processed",
            "accuracy",
            (8, 32000, 1.0, 1.0, 0.1, 0.6),
        ),
        (
            *("filter-python", "r1-distill-qwen-math-7b-merges", "verifiable-coding-problems-python_decontaminated"),
            *("binary_code", (8, 16000, 0.7, 1.0, 0.1, 0.6)),
        ),
    ],
)
def test_published_recipes(r1lab: CommandLine, name, model, dataset, reward, numbers) -> None:
    cfg = r1lab.plan(f"experiment={name}", "dry_run=true").cfg
    assert (cfg.model.name, cfg.dataset.name, list(cfg.reward)) == (model, dataset, [reward])
    task = cfg.task
    assert (task.n, task.max_tokens, task.temperature, task.top_p, task.low, task.high) == numbers


def test_a_benchmark_that_evaluation_knows_is_known_to_compare_with() -> None:
    """By its own name, and the same rows of the same repository."""
    names = [file.stem for file in (CONF / "benchmark").glob("*.yaml") if file.stem not in ("all", "ioi24")]
    found, faults = benchmarks_of(names)
    assert faults == [] and [item.label for item in found] == names
    for item in found:
        ours = yaml.safe_load((CONF / f"benchmark/{item.label}.yaml").read_text())[item.label]
        theirs = settings_of(item.value)
        assert (ours.get("repo"), ours.get("files")) == (theirs.get("repo"), theirs.get("files"))


FIVE = ("dataset=local", "dataset.path=five.csv", "reward=[accuracy]", "model=tiny")


@pytest.mark.parametrize(
    ("words", "rows", "samples", "kept"),
    [
        ("task=filter", "all 5", "8 of each row", "0.2 < mean of accuracy < 0.8 (2 to 6 right of 8)"),
        (
            "task=filter task.start=1 task.end=9 task.shards=2 task.shard=1",
            "2 of 5: 3 to 4, from 0",
            "8 of each",
            "0.2",
        ),
        ("task=filter task.shards=9 task.shard=0", "0 of 5", "8 of each", "0.2"),
        ("task=filter task.n=2 task.confidence=0.9", "all 5", "0.9 clear", "(1 right of 2)"),
        ("task=generate task.problems=3", "the first 3 of 5", "4 of each row", "none checked (task.keep.reward)"),
        ("task=generate task.problems=7", "all 5", "4 of each row", "right and wrong ones"),
        (
            "task=generate task.keep.reward=accuracy task.keep.most=1",
            "all 5",
            "4 of",
            "reach accuracy ≥ 1; at most 1 of a",
        ),
    ],
)
def test_a_dry_run_says_what_is_sampled_and_kept(
    r1lab: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, rows: str, samples: str, kept: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("five.csv").write_text("problem,answer\n" + "".join(f"{n}+{n},{2 * n}\n" for n in range(5)))
    facts = r1lab.plan(*words.split(), *FIVE).facts["run"]
    assert "held out" not in facts
    assert facts["rows"] == rows
    assert samples in facts["samples"] and kept in facts["kept"]
