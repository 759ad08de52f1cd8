"""Every task from config to folder, on the built model in small: which files are there, and whether they agree."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from r1lab.errors import DataError, UserError
from r1lab.notebook import compose, run
from r1lab.trainers.stream import CLOCKS

Run = tuple[dict[str, Any], Path]
BATCH = {
    "sft": ("trainer.per_device_train_batch_size=4",),
    "grpo": ("trainer.per_device_train_batch_size=8", "trainer.steps_per_generation=4"),
}


@pytest.fixture
def go(small: tuple[str, ...], tmp_path: Path) -> Callable[..., Run]:
    """Runs a task in this process; its metrics and its folder."""

    def make(task: str, *words: str, folder: str = "run") -> Run:
        random.seed(0)
        cfg = compose(f"task={task}", *small, "debug=true", "reward=[coin_flip,accuracy]", *words)
        metrics = run(cfg, tmp_path / folder)
        return metrics, tmp_path / folder

    return make


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def without_clocks(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if key not in CLOCKS} for item in items]


def check_training(metrics: dict[str, Any], folder: Path, steps: int) -> None:
    """What every training leaves behind."""
    written = json.loads((folder / "metrics.json").read_text())
    assert {**written, "folder": str(folder)} == metrics
    assert metrics["steps"] == steps and metrics["train_seconds"] > 0 and metrics["objective"] == "eval/accuracy"
    stream = records(folder / "metrics.jsonl")
    evals = {item["step"]: item for item in stream if "eval/coin_flip" in item}
    assert sorted(evals) == sorted({0, *(round(share * steps) for share in (0.5,)), steps})
    logged = [item for item in stream if "loss" in item]
    assert [item["step"] for item in logged] == list(range(1, steps + 1))
    seconds = [item["time"] for item in stream]
    assert seconds == sorted(seconds) and seconds[0] >= 0
    kept = records(folder / "completions/eval.jsonl")
    for step, item in evals.items():
        rewards = [record["rewards"] for record in kept if record["step"] == step]
        assert len(rewards) == 8
        for name in ("coin_flip", "accuracy"):
            assert item[f"eval/{name}"] == mean([reward[name] for reward in rewards])
            assert item[f"eval/{name}_low"] <= item[f"eval/{name}"] <= item[f"eval/{name}_high"]
        tokens = [record["tokens"] for record in kept if record["step"] == step]
        assert item["eval/length"] == mean(tokens)
    assert metrics["eval/coin_flip"] == evals[steps]["eval/coin_flip"]
    assert metrics["eval/coin_flip_before"] == evals[0]["eval/coin_flip"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "finished" and manifest["seed"] == 42
    assert manifest["dataset"]["rows"] == 64 and len(manifest["dataset"]["fingerprint"]) == 16
    assert manifest["model"]["source"] == "built" and manifest["versions"]["trl"]
    weights = load_file(folder / "model/model.safetensors")
    assert sum(tensor.numel() for tensor in weights.values()) == manifest["model"]["parameters"]
    assert (folder / "model/tokenizer.json").is_file() and (folder / "report.html").is_file()
    last = folder / f"checkpoints/checkpoint-{steps}"
    assert (last / "COMPLETE").is_file()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in load_file(last / "model.safetensors").items())


def test_sft(go: Callable[..., Run]) -> None:
    metrics, folder = go("sft", "trainer.max_steps=4", "eval.every=0.5", *BATCH["sft"])
    check_training(metrics, folder, 4)
    assert not (folder / "completions/train.jsonl").exists()


def test_grpo(go: Callable[..., Run]) -> None:
    metrics, folder = go(
        "grpo",
        "trainer.max_steps=4",
        "eval.every=0.5",
        *BATCH["grpo"],
        "reward.coin_flip.weight=0.5",
        "trainer.scale_rewards=none",
    )
    check_training(metrics, folder, 4)
    kept = records(folder / "completions/train.jsonl")
    assert [record["step"] for record in kept] == [1] * 32  # four micro-batches of eight, in groups of eight
    for start in range(0, 32, 8):
        group = kept[start : start + 8]
        assert len({record["prompt"] for record in group}) == 1
        totals = torch.tensor([0.5 * r["rewards"]["coin_flip"] + r["rewards"]["accuracy"] for r in group])
        expected = totals - totals.mean()
        torch.testing.assert_close(torch.tensor([r["advantage"] for r in group]), expected, atol=1e-4, rtol=0)
        assert all(
            r["solution"].isdigit() and 1 <= r["tokens"] <= 64 and r["finish"] in ("stop", "length") for r in group
        )
    first = records(folder / "metrics.jsonl")[1]
    assert first["rewards/coin_flip"] == pytest.approx(mean([record["rewards"]["coin_flip"] for record in kept]))
    assert first["completions/mean_length"] == pytest.approx(mean([record["tokens"] for record in kept]))


@pytest.mark.parametrize("task", ["sft", "grpo"])
def test_the_same_seed_gives_the_same_run_and_another_one_another(go: Callable[..., Run], task: str) -> None:
    words = ("trainer.max_steps=2", "eval.every=0", *BATCH[task])
    folders = [go(task, *words, folder=name)[1] for name in ("one", "same")]
    folders.append(go(task, *words, "seed=43", "model.build.seed=42", folder="other")[1])
    one, same, other = (without_clocks(records(folder / "metrics.jsonl")) for folder in folders)
    assert one == same != other
    weights = [(folder / "model/model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1] != weights[2]


def test_what_is_evaluated_does_not_change_what_is_trained(go: Callable[..., Run]) -> None:
    words = ("trainer.max_steps=4", *BATCH["grpo"])
    often = go("grpo", *words, "eval.every=0.25", folder="often")[1]
    never = go("grpo", *words, "eval.problems=0", folder="never")[1]
    losses = [
        [item["loss"] for item in records(folder / "metrics.jsonl") if "loss" in item] for folder in (often, never)
    ]
    assert losses[0] == losses[1]


def test_a_run_that_has_finished_is_only_made_longer(go: Callable[..., Run]) -> None:
    words = ("eval.every=0", *BATCH["sft"], "trainer.lr_scheduler_type=constant", "trainer.save_steps=2")
    go("sft", *words, "trainer.max_steps=2")
    metrics, folder = go("sft", *words, "trainer.max_steps=4")
    whole = go("sft", *words, "trainer.max_steps=4", folder="whole")[1]
    assert metrics["steps"] == 4
    logged = [
        [item for item in without_clocks(records(f / "metrics.jsonl")) if "loss" in item] for f in (folder, whole)
    ]
    assert logged[0] == logged[1]
    assert len(json.loads((folder / "manifest.json").read_text())["resumed"]) == 1


def test_rft_trains_on_what_it_kept(go: Callable[..., Run]) -> None:
    words = ("trainer.max_steps=4", "eval.every=0.5", *BATCH["sft"], "task.problems=24", "task.n=4")
    metrics, folder = go("rft", *words, "objective=eval/accuracy")
    check_training(metrics, folder, 4)
    kept = records(folder / "kept.jsonl")
    assert metrics["sampled"] == 96 and 0 < metrics["kept"] == len(kept) < 96
    for row in kept:
        assert [message["role"] for message in row["prompt"]] == ["user"]
        assert [message["role"] for message in row["completion"]] == ["assistant"]


def test_rft_with_nothing_right_says_so(go: Callable[..., Run]) -> None:
    with pytest.raises(DataError, match=r"none of 96 completions reached accuracy ≥ 1\.0"):
        go("rft", "reward=[accuracy]", "trainer.max_steps=2", *BATCH["sft"], "task.problems=24", "task.n=4")


def test_eval(go: Callable[..., Run]) -> None:
    metrics, folder = go("eval", "task.n=4", "task.k=[1,2,4]")
    kept = records(folder / "completions/eval.jsonl")
    assert [(record["problem"], record["sample"]) for record in kept] == [(i, j) for i in range(8) for j in range(4)]
    flips = [[record["rewards"]["coin_flip"] for record in kept if record["problem"] == i] for i in range(8)]
    assert metrics["eval/coin_flip"] == metrics["eval/pass@1"] == pytest.approx(mean([mean(row) for row in flips]))
    assert metrics["eval/pass@4"] == mean([float(any(row)) for row in flips])
    pairs = [mean([float(row[i] or row[j]) for i in range(4) for j in range(i)]) for row in flips]
    assert metrics["eval/pass@2"] == pytest.approx(mean(pairs))
    assert metrics["eval/accuracy"] == mean([record["rewards"]["accuracy"] for record in kept])
    assert {"eval/maj@2", "eval/maj@4", "eval/maj@4_low"} <= metrics.keys() and "eval/maj@1" not in metrics
    assert (metrics["problems"], metrics["samples"], metrics["eval/problems_skipped"]) == (8, 4, 0)
    (streamed,) = records(folder / "metrics.jsonl")
    assert streamed["eval/pass@4"] == metrics["eval/pass@4"]
    assert json.loads((folder / "manifest.json").read_text())["dataset"]["rows"] == 8


def test_eval_without_a_problem_says_so(go: Callable[..., Run]) -> None:
    with pytest.raises((DataError, UserError), match=r"eval\.problems"):
        go("eval", "eval.problems=0")


def test_generate_leaves_rows_to_train_on(go: Callable[..., Run], small: tuple[str, ...], tmp_path: Path) -> None:
    words = ("task.n=2", "task.problems=5", "task.temperature=0.8", "task.max_tokens=16", "task.keep.truncated=true")
    metrics, folder = go("generate", *words)
    rows = [row for file in folder.glob("dataset/all/*.parquet") for row in pq.read_table(file).to_pylist()]
    assert [(row["row"], row["sample"]) for row in rows] == [(i, j) for i in range(5) for j in range(2)]
    assert metrics["rows"] == metrics["kept"] == 10 and metrics["tokens"] == sum(row["tokens"] for row in rows)
    for row in rows:
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert row["messages"][:1] == row["prompt"] and row["messages"][1]["content"] == row["completion"]
        assert row["solution"].isdigit() and 1 <= row["tokens"] <= 16
    assert metrics["generate/coin_flip"] == pytest.approx(mean([row["rewards"]["coin_flip"] for row in rows]))
    _, one_by_one = go("generate", *words, "eval.batch=2", folder="other")  # other neighbours, the same dice
    others = [row for file in one_by_one.glob("dataset/all/*.parquet") for row in pq.read_table(file).to_pylist()]
    assert [row["completion"] for row in others] == [row["completion"] for row in rows]
    columns = ("dataset.prompt=prompt", "dataset.answer=solution", "dataset.messages=messages", "dataset.test=2")
    left = (word for word in small if not word.startswith("dataset."))
    cfg = compose("task=sft", *left, "debug=true", "dataset=local", *columns, *BATCH["sft"], "trainer.max_steps=1")
    cfg.dataset.path = str(folder / "dataset/sft")
    assert run(cfg, tmp_path / "trained")["steps"] == 1
    assert json.loads((tmp_path / "trained/manifest.json").read_text())["dataset"]["rows"] == 8


@pytest.mark.whole
@pytest.mark.parametrize("task", ["sft", "grpo"])
def test_in_a_process_of_its_own(small: tuple[str, ...], tmp_path: Path, task: str) -> None:
    cfg = compose(
        f"task={task}", *small, "reward=[coin_flip,accuracy]", "trainer.max_steps=4", "eval.every=0.5", *BATCH[task]
    )
    metrics = run(cfg, tmp_path / "run")
    check_training(metrics, tmp_path / "run", 4)
    assert "Traceback" not in (tmp_path / "run/run.log").read_text()


def test_settings_that_trl_refuses_are_one_message(go: Callable[..., Run]) -> None:
    with pytest.raises(UserError):
        go("sft", "trainer.max_steps=1", "trainer.lr_scheduler_type=sideways")
