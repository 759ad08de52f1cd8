"""Words about benchmarks: which are chosen, what does not fit, a queue's jobs, and what make turns into words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from r1lab.config.compose import compose_words, session
from r1lab.config.experiments import CONF
from r1lab.errors import ConfigError
from r1lab.plan.request import jobs_of, one_job_each
from tests.command_line import CommandLine

R1 = "model=deepseek-r1-distill-qwen-1.5b"
ROOT = Path(__file__).parents[2]
PUBLISHED = ["aime24", "aime25", "math-500", "gpqa-diamond", "lcb", "lcb-v4", "ioi24"]


def refused(r1lab: CommandLine, *words: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        r1lab.plan(*words)
    return [finding.what for finding in caught.value.findings]


@pytest.mark.parametrize(
    "word, names",
    [("all", PUBLISHED), ("[all]", PUBLISHED), ("[lcb,aime24]", ["lcb", "aime24"]), ("aime24", ["aime24"])],
)
def test_benchmarks_are_chosen_by_name(word: str, names: list[str], r1lab: CommandLine) -> None:
    plan = r1lab.plan("task=eval", R1, f"benchmark={word}")
    assert list(plan.cfg.benchmark) == names and plan.errors == []
    assert plan.facts["run"]["benchmarks"].startswith(f"{names[0]} × ")


def test_samples_are_the_papers(r1lab: CommandLine) -> None:
    chosen = r1lab.plan("task=eval", R1, "benchmark=all").cfg.benchmark
    assert {name: item.samples for name, item in chosen.items()} == {
        "aime24": 64,
        "aime25": 64,
        "math-500": 4,
        "gpqa-diamond": 8,
        "lcb": 16,
        "lcb-v4": 16,
        "ioi24": 50,
    }
    assert {(item.temperature, item.top_p, item.max_tokens) for item in chosen.values()} == {(0.6, 0.95, 32768)}


def test_a_benchmark_and_the_dataset_of_the_same_problems_agree() -> None:
    pairs = {
        "aime24": "aime_2024",
        "aime25": "aime_2025",
        "math-500": "math-500",
        "gpqa-diamond": "gpqa",
        "lcb": "code_generation_lite",
        "lcb-v4": "code_generation_lite_v4",
        "ioi24": "ioi",
    }
    for name, dataset in pairs.items():
        ours = yaml.safe_load((CONF / f"benchmark/{name}.yaml").read_text())[name]
        theirs = yaml.safe_load((CONF / f"dataset/{dataset}.yaml").read_text())
        assert (ours["repo"], ours.get("config"), ours["split"], ours.get("files")) == (
            theirs["repo"],
            theirs["config"],
            theirs["test_split"],
            theirs.get("files"),
        )


@pytest.mark.parametrize(
    "words, what",
    [
        (("task=grpo", "benchmark=[aime24]"), "task=grpo evaluates no benchmark"),
        (("task=eval", "benchmark=[aime24]", "benchmark.aime24.repo=null"), "benchmark.aime24 names no problems"),
        (
            ("task=eval", "benchmark=[aime24]", "benchmark.aime24.temperature=0"),
            "benchmark.aime24: at temperature 0 all 64 samples of a problem are the same",
        ),
        (
            ("task=eval", "benchmark=[aime24]", "task.only=aime25"),
            "task.only=aime25 is none of the benchmarks that are chosen",
        ),
        (
            ("task=eval", "benchmark=[aime24]", "benchmark.aime24.prompt=Solve"),
            "benchmark.aime24.prompt='Solve' has no {{ COLUMN }} in it, and is no file",
        ),
        (
            ("task=eval", "benchmark=[aime24]", "engine.max_model_len=32768"),
            "benchmark.aime24.max_tokens=32768 leaves no room for a prompt in engine.max_model_len=32768",
        ),
        (
            ("task=eval", "benchmark=[aime24]", "benchmark.math-500.samples=1"),
            "benchmark.math-500.samples: benchmark 'math-500' is not chosen",
        ),
        (
            ("task=eval", "benchmark=[lcb]", "benchmark.lcb.scorer.secs=1"),
            "benchmark.lcb.scorer.secs is not a field of r1lab.rewards.livecode.livecode",
        ),
    ],
)
def test_what_does_not_fit_is_refused(words: tuple[str, ...], what: str, r1lab: CommandLine) -> None:
    assert what in refused(r1lab, R1, *words)


def test_in_a_queue_each_benchmark_is_a_job() -> None:
    words = ["task=eval", R1, "benchmark=[aime24,math-500]", "benchmark.aime24.samples=8", "cluster=slurm"]
    with session():
        cfg, _ = compose_words(words)
        each = one_job_each(cfg, words)
        assert [job[-1] for job in jobs_of(each)] == ["task.only=aime24", "task.only=math-500"]
        assert one_job_each(cfg, [*words, "task.only=aime24"]) == []
        assert one_job_each(compose_words(words[:-1])[0], words[:-1]) == []
        assert one_job_each(compose_words(["task=eval", "benchmark=[aime24]", "cluster=slurm"])[0], []) == []


def test_only_one_is_evaluated(r1lab: CommandLine) -> None:
    assert list(r1lab.plan("task=eval", R1, "benchmark=all", "task.only=lcb").cfg.benchmark) == ["lcb"]


@pytest.mark.parametrize(
    "given, words",
    [
        (
            [
                "MODEL=deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
                "TASK=aime24,math_500,gpqa",
                "PARALLEL=tensor",
                "NUM_GPUS=8",
            ],
            "model=deepseek-r1-distill-qwen-32b benchmark=[aime24,math-500,gpqa-diamond] "
            "engine.tensor_parallel=8 accelerator.gpus=8",
        ),
        (["MODEL=me/mine"], "model=hub model.repo=me/mine benchmark=[all]"),
        (["MODEL=tiny", "TASK=gpqa:diamond", "ARGS=seed=1"], "model=tiny benchmark=[gpqa-diamond] seed=1"),
        (
            ["MODEL=tiny", "TASK=lcb_v4", "PARALLEL=data", "NUM_GPUS=2"],
            "model=tiny benchmark=[lcb-v4] engine.data_parallel=2 accelerator.gpus=2",
        ),
    ],
)
def test_make_evaluate_says_the_words(given: list[str], words: str) -> None:
    ours = ("MAKE", "MFLAGS", "ARGS")  # by `make test`
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    said = subprocess.run(
        ["make", "-n", "evaluate", *given], cwd=ROOT, capture_output=True, text=True, check=True, env=env
    ).stdout
    command = said.strip().splitlines()[-1].replace("'", "")
    assert " ".join(command.partition("task=eval ")[2].split()) == f"engine=server {words}"
