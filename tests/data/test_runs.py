"""Runs on rows of one's own, from config to folder: what is said of the rows, and what ends a run before it trains."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1lab.errors import ConfigError, DataError, UserError
from r1lab.notebook import compose, run

Go = Callable[..., dict[str, Any]]
BATCH = ("trainer.per_device_train_batch_size=4", "trainer.max_steps=2", "eval.every=0", "eval.problems=2")


@pytest.fixture
def go(small: tuple[str, ...], tmp_path: Path) -> Go:
    """Runs a task on the small model in this process."""

    def make(*words: str) -> dict[str, Any]:
        model = [word for word in small if not word.startswith(("dataset.", "eval.problems"))]
        cfg = compose(*model, "debug=true", *BATCH, *words)
        return run(cfg, tmp_path / f"run-{len(list(tmp_path.iterdir()))}")

    return make


def rows(path: Path, sizes: list[int]) -> Path:
    """Problems of so many letters, with answers."""
    lines = [{"question": f"{n} {'x' * size}", "gold": n, "page": "y" * size} for n, size in enumerate(sizes)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def local(path: Path) -> list[str]:
    return ["dataset=local", f"dataset.path={path}", "dataset.prompt=question", "dataset.answer=gold"]


def test_sft_cuts_and_counts(go: Go, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rows(tmp_path / "x.jsonl", [10] * 9 + [250, 400])
    metrics = go("task=sft", "reward=[format]", "trainer.max_length=64", "dataset.test=2", *local(path))
    assert metrics["steps"] == 2
    said = capsys.readouterr().out
    assert "data: 2 rows held out of 11, 9 to train on" in said
    assert "leave no token for their completion within trainer.max_length=64" in said


def test_sft_on_text_evaluates_nothing(go: Go, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rows(tmp_path / "x.jsonl", [10] * 6 + [400])
    words = ("dataset.text=page", "dataset.prompt=null", "dataset.test=2", "trainer.max_length=64")
    metrics = go("task=sft", "reward=[format]", "dataset=local", f"dataset.path={path}", *words)
    assert metrics["steps"] == 2 and not any(name.startswith("eval/") for name in metrics)
    assert "data: the rows have no prompt: nothing is evaluated on the way" in capsys.readouterr().out


def test_a_template_that_does_not_mark_the_answers_is_refused(go: Go, tmp_path: Path) -> None:
    path = rows(tmp_path / "x.jsonl", [10] * 6)
    with pytest.raises(UserError, match="trl refuses the rows or the settings"):
        go("task=sft", "reward=[format]", "trainer.assistant_only_loss=true", *local(path))


def test_grpo_refuses_or_drops_prompts_without_room(go: Go, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rows(tmp_path / "x.jsonl", [10] * 8 + [300])
    words = ("reward=[coin_flip,accuracy]", "trainer.num_generations=4", *local(path), "dataset.test=0")
    with pytest.raises(DataError, match="1 of 9 prompts leave no room for 64 new tokens in the model's context of 256"):
        go(*words)
    assert go(*words, "dataset.too_long=drop")["steps"] == 2
    assert "1 of 9 prompts leave no room" in capsys.readouterr().out


def test_grpo_on_a_mixture(go: Go, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rows(tmp_path / "x.jsonl", [10] * 8)
    entries = [f"{{path: {path}, columns: {{problem: question, answer: gold}}, weight: 0.5}}"]
    entries.append("{name: arithmetic, weight: 0.001}")
    words = ("reward=[coin_flip,accuracy]", "trainer.num_generations=4", "dataset.test=2")
    assert go("dataset=mixture", f"dataset.datasets=[{','.join(entries)}]", *words)["steps"] == 2
    said = capsys.readouterr().out
    assert f"data: {path}: 4 of 8 rows (weight 0.5)" in said
    assert "data: arithmetic: 8 of 8,192 rows (weight 0.001)" in said


def test_what_the_planner_cannot_see_ends_the_run_before_it_trains(go: Go, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        go("task=sft", "dataset=hub", "dataset.repo=no-such/thing")
    with pytest.raises(ConfigError, match=r"x\.jsonl:3 has no prompt"):
        path = rows(tmp_path / "x.jsonl", [1, 1])
        path.write_text(path.read_text() + '{"question": null, "gold": 1}\n')
        go("task=sft", *local(path))


def test_the_command_ends_with_code_2_and_one_message(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"problem": "a", "answer": "1"}\n{"problem": "b", "problem": "c"}\n')
    words = ["dataset=local", "dataset.path=x.jsonl"]
    ended = subprocess.run(
        [sys.executable, "-m", "r1lab", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 2 and ended.stdout == ""
    assert "x.jsonl:2 is broken: the key 'problem' stands twice" in ended.stderr
    assert not (tmp_path / "outputs").exists()
