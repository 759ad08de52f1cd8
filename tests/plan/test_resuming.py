"""`resume=`: what may change about the run in a folder, and what is said of everything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from r1lab.runs.folder import RunFolder
from tests.command_line import CommandLine, tree

Write = Callable[[str, str | bytes], Path]
SHORT = ("trainer.max_steps=40", "trainer.save_steps=10")


@pytest.fixture
def run(r1lab: CommandLine) -> str:
    """The folder of a run of 40 steps."""
    said = r1lab(*SHORT, "hydra.run.dir=runs/first")
    assert list(said.started) == [Path("runs/first")]
    return "runs/first"


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ([], "trainer.max_steps", 40),
        (["trainer.max_steps=80"], "trainer.max_steps", 80),
        (["trainer.max_steps=40"], "trainer.max_steps", 40),
        (["accelerator=cpu"], "accelerator.name", "cpu"),
        (["accelerator.threads=2"], "accelerator.threads", 2),
        (["model=tiny", "task=grpo", "reward=[format,accuracy]", "seed=42"], "seed", 42),
        (["trainer.learning_rate=4e-4"], "trainer.learning_rate", 4e-4),
        (["debug=true"], "debug", True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_may_change(words: list[str], key: str, value: object, run: str, r1lab: CommandLine) -> None:
    from omegaconf import OmegaConf

    rate = RunFolder(run).read_config().trainer.learning_rate
    words = [word.replace("4e-4", str(rate)) for word in words]
    said = r1lab(f"resume={run}", *words)
    assert said.code == 0, said.err
    assert list(said.started) == [Path(run)]
    cfg = said.started[Path(run)]
    assert OmegaConf.select(cfg, key) == (rate if key == "trainer.learning_rate" else value)
    assert cfg.trainer.save_steps == 10


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (
            ["trainer.weight_decay=0.5"],
            "runs/first holds a different run:\n    trainer.weight_decay: 0.0 there, 0.5 here",
            "leave that out to resume, or choose another folder to start anew",
        ),
        (
            ["seed=43", "trainer.adam_beta1=0.5"],
            "runs/first holds a different run:\n    seed: 42 there, 43 here\n"
            "    trainer.adam_beta1: not set there, 0.5 here",
            "leave that out to resume, or choose another folder to start anew",
        ),
        (
            ["trainer.max_steps=20"],
            "trainer.max_steps was 40 in runs/first; a resumed run can only be longer",
            "trainer.max_steps=40 or more",
        ),
        (
            ["task=sft"],
            "task was grpo in runs/first, now sft: that is a different run",
            "leave it out to resume, or start a new run without resume=",
        ),
        (
            ["reward=[accuracy]"],
            "reward was [accuracy,format] in runs/first, now [accuracy]: that is a different run",
            "leave it out to resume, or start a new run without resume=",
        ),
        (["seed=1,2"], "resume= continues one run, not a sweep", "one command for each run"),
        (
            ["sed=43"],
            "sed is not a word of the run in runs/first",
            "a resumed run takes trainer.max_steps, trainer.num_train_epochs, task.n, and accelerator=…",
        ),
        (["trainer.max_steps=abc"], "trainer.max_steps takes a whole number, not 'abc'", "trainer.max_steps=NUMBER"),
        (
            ["accelerator=gpus"],
            "accelerator has no option 'gpus'",
            "one of: auto, cpu, ddp, fsdp, single, zero1, zero2, zero3, zero3-offload",
        ),
        (["name=["], "in name=[, [ ] do not pair", "no spaces inside the word, or all of it in quotes: 'key=[a,b]'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_may_not(words: list[str], what: str, fix: str, run: str, r1lab: CommandLine) -> None:
    finding = r1lab.one(f"resume={run}", *words)
    assert (finding["what"], finding["fix"]) == (what, fix)
    if "[" not in words[0] or "reward" in words[0]:
        assert words[-1] in finding["where"]


def test_a_folder_that_holds_no_run(run: str, r1lab: CommandLine) -> None:
    assert r1lab.one("resume=runs/frist") == {
        "what": "runs/frist is not a run's folder: it does not exist",
        "where": "override resume=runs/frist",
        "nearest": "resume=runs/first",
    }
    assert r1lab.one("resume=runs")["nearest"] == "resume=runs/first"
    assert r1lab.one("resume=runs")["what"] == "runs is not a run's folder: it holds no run.yaml"
    assert r1lab.one("resume=outputs/no/thing")["what"] == "outputs/no/thing is not a run's folder: it does not exist"
    assert "nearest" not in r1lab.one("resume=/etc/hostname")


def test_no_folder_is_no_resumption(r1lab: CommandLine) -> None:
    assert r1lab.accepts("resume=null").resume is None
    assert r1lab.accepts("resume=").resume == ""


def test_a_folder_with_a_space(run: str, r1lab: CommandLine) -> None:
    Path(run).rename("my run")
    assert list(r1lab("resume='my run'").started) == [Path("my run")]
    assert list(r1lab("resume=my run").started) == [Path("my run")]


def test_the_same_command_in_the_same_folder_resumes(run: str, r1lab: CommandLine) -> None:
    said = r1lab(*SHORT, f"hydra.run.dir={run}")
    assert list(said.started) == [Path(run)]
    finding = r1lab.one(*SHORT, f"hydra.run.dir={run}", "trainer.beta=0.5")
    assert finding["what"] == "runs/first holds a different run:\n    trainer.beta: 0.0 there, 0.5 here"
    assert finding["where"] == "override trainer.beta=0.5"


def test_a_wholly_different_run_is_told_in_short(run: str, r1lab: CommandLine) -> None:
    finding = r1lab.one("task=eval", f"hydra.run.dir={run}")
    lines = finding["what"].splitlines()
    assert lines[:3] == [
        "runs/first holds a different run:",
        "    name: grpo-tiny there, eval-tiny here",
        "    task.name: grpo there, eval here",
    ]
    assert len(lines) == 10
    assert lines[-1].startswith("    … and ")


def test_words_of_another_task_than_the_default(r1lab: CommandLine) -> None:
    r1lab("task=eval", "task.n=4", "task.k=[4]", "hydra.run.dir=runs/eval")
    said = r1lab("resume=runs/eval", "task.n=4")
    assert said.code == 0, said.err
    assert said.started[Path("runs/eval")].task.n == 4


def test_a_dry_run_of_a_resumption_changes_nothing(run: str, r1lab: CommandLine) -> None:
    before = tree(Path.cwd())
    said = r1lab(f"resume={run}", "dry_run=true", "trainer.max_steps=60")
    assert said.code == 0
    assert "60" in said.out
    assert (said.started, tree(Path.cwd())) == ({}, before)
    assert RunFolder(run).read_config().trainer.max_steps == 40


def test_a_folder_whose_config_is_broken(run: str, r1lab: CommandLine, write: Write) -> None:
    write(f"{run}/run.yaml", "trainer: [\n")
    finding = r1lab.one(f"resume={run}")
    assert finding["what"].startswith("runs/first/run.yaml cannot be read")
    write(f"{run}/run.yaml", "")
    assert r1lab.one(f"resume={run}")["what"].startswith("runs/first/run.yaml cannot be read")


R1 = ("model=deepseek-r1-distill-qwen-1.5b", "accelerator=cpu", "engine=server", "engine.urls=[http://here:1/v1]")


def test_an_evaluation_goes_on_elsewhere_with_more_samples(r1lab: CommandLine) -> None:
    said = r1lab("task=eval", *R1, "benchmark=[lcb,aime24]", "hydra.run.dir=runs/eval", "debug=true")
    assert said.code == 0, said.err
    at = "sandbox=piston", "sandbox.endpoints=[http://there:2]"
    said = r1lab("resume=runs/eval", "benchmark=[aime24,lcb]", *at, "benchmark.lcb.samples=32", "evaluator=native")
    assert said.code == 0, said.err
    cfg = said.started[Path("runs/eval")]
    assert cfg.benchmark.lcb.scorer.sandbox == cfg.sandbox and cfg.sandbox._target_.endswith("PistonSandbox")
    assert (cfg.benchmark.lcb.samples, cfg.benchmark.aime24.samples) == (32, 64)
    assert "sandbox" not in cfg.benchmark.aime24.scorer


def test_other_benchmarks_are_a_different_run(r1lab: CommandLine) -> None:
    r1lab("task=eval", *R1, "benchmark=[aime24]", "hydra.run.dir=runs/eval", "debug=true")
    finding = r1lab.one("resume=runs/eval", "benchmark=[aime24,math-500]")
    what = "benchmark was [aime24] in runs/eval, now [aime24,math-500]: that is a different run"
    assert finding["what"] == what
