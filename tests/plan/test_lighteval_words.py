"""evaluator=lighteval before anything starts: its environment, what it can score, and how its server is spread."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1lab.config import evaluating
from tests.command_line import CommandLine, r1lab

__all__ = ["r1lab"]
EVAL = ("task=eval", "evaluator=lighteval", "accelerator=cpu", "model=deepseek-r1-distill-qwen-7b")
GPUS = ("engine=server", "dry_run=json")


def environment(folder: Path, version: str = evaluating.LIGHTEVAL) -> Path:
    """A folder that looks like lighteval's environment."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (folder / "lib/python3.11/site-packages" / f"lighteval-{version}.dist-info").mkdir(parents=True)
    return python


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No environment beside r1lab's source; the working directory is empty."""
    monkeypatch.setattr(evaluating, "SOURCE", tmp_path / "source")


@pytest.mark.usefixtures("nowhere")
def test_a_missing_environment_is_explained(r1lab: CommandLine) -> None:
    row = r1lab.one(*EVAL, "benchmark=[aime24]")
    assert row["what"] == "evaluator=lighteval: there is no .venv-eval/bin/python"
    assert "make install-eval" in row["fix"] and "evaluator=native" in row["fix"]
    row = r1lab.one(*EVAL, "benchmark=[aime24]", "evaluator.python=/no/such/python")
    assert "evaluator.python=/no/such/python is no interpreter" in row["what"]


@pytest.mark.usefixtures("nowhere")
def test_another_version_is_refused_and_the_right_one_found(r1lab: CommandLine, tmp_path: Path) -> None:
    old = environment(tmp_path / "old", "0.9.0")
    row = r1lab.one(*EVAL, "benchmark=[aime24]", f"evaluator.python={old}")
    assert "has lighteval 0.9.0, and r1lab speaks to 0.13.0" in row["what"]
    bare = environment(tmp_path / "bare")
    (bare.parents[1] / "lib/python3.11/site-packages/lighteval-0.13.0.dist-info").rmdir()
    assert "has no lighteval" in r1lab.one(*EVAL, "benchmark=[aime24]", f"evaluator.python={bare}")["what"]
    environment(Path.cwd() / ".venv-eval")
    assert r1lab.accepts(*EVAL, "benchmark=[aime24]")
    assert r1lab.accepts(*EVAL, "benchmark=[aime24]", f"evaluator.python={environment(tmp_path / 'new').parents[1]}")


@pytest.mark.usefixtures("nowhere")
def test_what_it_cannot_score_is_refused(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(Path.cwd() / ".venv-eval")
    row = r1lab.one(*EVAL, "benchmark=[ioi24]")
    assert "lighteval does not score ioi24" in row["what"] and row["nearest"] == "evaluator=native"
    row = r1lab.one(*EVAL, "benchmark=[arithmetic]")
    assert "lighteval has no task for arithmetic" in row["what"]
    assert row["nearest"] == "evaluator.prompts=benchmark"
    assert r1lab.accepts(*EVAL, "benchmark=[arithmetic]", "evaluator.prompts=benchmark")
    row = r1lab.one(*EVAL, "benchmark=[aime24]", "evaluator.prompts=benchmarks")
    assert row["nearest"] == "evaluator.prompts=benchmark"
    assert r1lab.one(*EVAL, "benchmark=[aime24]", "evaluator.prompt=x")["nearest"] == "evaluator.prompts"
    monkeypatch.setattr("r1lab.plan.lighteval.shutil.which", lambda name: None)
    row = r1lab.one(*EVAL, "benchmark=[lcb]", "sandbox=piston", "sandbox.endpoints=[http://h:1]")
    assert "only inside bubblewrap" in row["what"] and "apt install bubblewrap" in row["fix"]


@pytest.mark.parametrize(
    ("model", "gpus", "words", "sizes"),
    [  # (tensor, data): a 7B is copied; a 32B has 40 heads, a 70B has 64
        ("deepseek-r1-distill-qwen-7b", 8, (), (1, 8)),
        ("deepseek-r1-distill-qwen-32b", 8, (), (8, 1)),
        ("deepseek-r1-distill-qwen-32b", 6, (), (2, 3)),
        ("deepseek-r1-distill-llama-70b", 4, (), (4, 1)),
        ("deepseek-r1-distill-qwen-7b", 1, (), (1, 1)),
        ("deepseek-r1-distill-qwen-7b", 8, ("engine.tensor_parallel=2",), (2, 1)),
        ("deepseek-r1-distill-qwen-32b", 8, ("engine.data_parallel=2",), (1, 2)),
        ("deepseek-r1-distill-qwen-32b", 8, ("engine.urls=[http://h:1/v1]",), (1, 1)),
    ],
)
def test_a_server_is_spread_by_the_models_size(
    r1lab: CommandLine, model: str, gpus: int, words: tuple[str, ...], sizes: tuple[int, int]
) -> None:
    asked = ("task=eval", "benchmark=[aime24]", f"model={model}", "accelerator.device=cuda", f"accelerator.gpus={gpus}")
    cfg = r1lab.plan(*asked, "accelerator.gpu=h100", *GPUS, *words).cfg
    assert (cfg.engine.tensor_parallel, cfg.engine.data_parallel) == sizes


def test_heads_are_checked(r1lab: CommandLine) -> None:
    asked = ("task=eval", "benchmark=[aime24]", "model=deepseek-r1-distill-qwen-7b", "engine=server")
    row = r1lab.one(*asked, "accelerator.device=cuda", "accelerator.gpus=8", "engine.tensor_parallel=8", "dry_run=true")
    assert "engine.tensor_parallel=8 does not divide the 28 attention heads" in row["what"]
