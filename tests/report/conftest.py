"""A run's folder as a real run leaves it, with whatever a test wants to be different."""

import json
import math
import random
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
name: {name}
seed: 7
task:
  name: grpo
model:
  name: tiny
  layers: 4
dataset:
  name: arithmetic
  path: null
reward:
  accuracy:
    weight: 1.0
  format:
    weight: 0.2
trainer:
  learning_rate: {learning_rate}
  max_steps: {steps}
"""


def training_lines(steps: int, seed: int, ceiling: float) -> list[dict[str, Any]]:
    """A training that learns: noisy logistic curves, evaluated every tenth of the way, wall time growing by 1.4 s a
    step."""
    chance = random.Random(seed)
    lines: list[dict[str, Any]] = []
    for step in range(steps + 1):
        done = 1 / (1 + math.exp(-9 * (step / steps - 0.42)))
        time = round(1.4 * step + 3, 3)
        if step % max(1, steps // 10) == 0:
            accuracy = round(0.44 + (ceiling - 0.44) * done + chance.uniform(-0.01, 0.01), 4) if step else 0.44
            lines.append(
                {
                    "step": step,
                    "time": time,
                    "eval/accuracy": accuracy,
                    "eval/accuracy_low": round(accuracy - 0.04, 4),
                    "eval/accuracy_high": round(accuracy + 0.035, 4),
                    "eval/format": round(0.2 + 0.79 * done, 4),
                    "eval/carries_kept": round(0.1 + 0.7 * done**2, 4),
                    "eval/length": round(90 - 40 * done, 1),
                }
            )
        if step:
            noise = chance.gauss(0, 0.05)
            accuracy, form = min(1, max(0, 0.4 + 0.5 * done + noise)), min(1, max(0, 0.15 + 0.84 * done + noise / 2))
            lines.append(
                {
                    "step": step,
                    "time": time,
                    "loss": 0.05 * (1 - done) + 0.01 * noise,
                    "learning_rate": 1e-4 * (1 - step / steps),
                    "grad_norm": abs(0.6 + noise * 4),
                    "reward": accuracy + 0.2 * form,
                    "reward_std": 0.35 * (1 - 0.8 * done),
                    "rewards/accuracy": accuracy,
                    "rewards/accuracy/std": 0.3 * (1 - 0.7 * done),
                    "rewards/format": form,
                    "rewards/format/std": 0.4 * (1 - 0.95 * done),
                    "completions/mean_length": 95 - 40 * done + 20 * noise,
                    "completions/max_length": 128 - 20 * done,
                    "completions/clipped_ratio": max(0, 0.3 * (1 - done) + noise / 3),
                    "entropy": 1.8 - 1.2 * done + noise,
                    "kl": 0.02 * done,
                    "step_time": 1.4 + noise,
                    "skipped/accuracy": 0,
                    "frac_reward_zero_std": min(1, 0.1 + 0.4 * done),
                    "gpu_temperature": 60 + 10 * done,
                }
            )
    return lines


def completion(step: int, problem: int, right: bool) -> dict[str, Any]:
    a, b = 100 + 37 * problem, 58 + 91 * problem
    said = a + b if right else a + b - 10
    thought = (
        f"<think>\n{a % 10} + {b % 10} = {a % 10 + b % 10}, {'carry kept' if right else 'next column'}.\n</think>\n"
    )
    return {
        "step": step,
        "prompt": f"What is {a} + {b}?",
        "completion": f"{thought if right else ''}<answer>{said}</answer>",
        "solution": str(a + b),
        "rewards": {"accuracy": float(right), "format": float(right) if problem % 4 else None},
        "advantage": 0.8 if right else -0.8,
        "tokens": 54 if right else 128,
        "finish": "stop" if right else "length",
    }


def manifest(learning_rate: float) -> dict[str, Any]:
    overrides = ["task=grpo", f"trainer.learning_rate={learning_rate}"]
    return {
        "command": ["python", "-m", "r1lab", *overrides, "name=it's mine"],
        "overrides": overrides,
        "git": {"commit": "3f2a9c17be04d1", "dirty": True},
        "versions": {"torch": "2.13.0", "transformers": "5.17.0", "trl": "1.16.0"},
        "python": "3.11.7",
        "platform": "Linux-6.1-x86_64",
        "hardware": {"cpu": "AMD EPYC 9654", "cores": 16, "memory_gb": 128.0, "gpus": ["NVIDIA H200"]},
        "seed": 7,
        "dataset": {"fingerprint": "a81c44e09d", "rows": 20000},
        "model": {"name": "tiny", "revision": "main", "parameters": 5_243_136},
        "started": "2026-01-31T22:10:00+00:00",
        "ended": "2026-01-31T22:24:03+00:00",
        "status": "finished",
        "cause": None,
        "exit": 0,
        "resumed": [],
    }


SUMMARY = {
    "eval/accuracy": 0.8712,
    "eval/accuracy_low": 0.8318,
    "eval/accuracy_high": 0.9031,
    "eval/accuracy_before": 0.44,
    "eval/accuracy_before_low": 0.3921,
    "eval/accuracy_before_high": 0.4888,
    "eval/format": 0.9912,
    "train_seconds": 812.4,
    "objective": "eval/accuracy",
    "notes": [
        "Accuracy rose from 44.0 % to 87.1 % on 500 sums the model had never seen.",
        "The format was learnt in the first 80 steps, carrying only after it.",
        "Completions became 42 % shorter.",
    ],
}

Build = Callable[..., Path]


def build(folder: Path, **changes: Any) -> Path:
    """Write a run's folder. `changes`: any of the files' contents (config, manifest, summary, metrics, train,
    evaluated, log), None leaving the file out; and learning_rate, steps, ceiling, name."""
    rate, steps, ceiling = changes.pop("learning_rate", 1e-4), changes.pop("steps", 300), changes.pop("ceiling", 0.87)
    marks = [completion(s, p, (s > 0) == (p % 5 != 4) and p != 3) for s in (0, steps // 2, steps) for p in range(8)]
    contents: dict[str, Any] = {
        "config": CONFIG.format(name=changes.pop("name", "carry-the-one"), learning_rate=rate, steps=steps),
        "manifest": manifest(rate),
        "summary": SUMMARY,
        "metrics": training_lines(steps, seed=1, ceiling=ceiling) if "metrics" not in changes else None,
        "train": marks,
        "evaluated": marks,
        "log": "started\n",
    }
    if unknown := changes.keys() - contents.keys():
        raise TypeError(f"unknown: {unknown}")
    contents |= changes
    (folder / "completions").mkdir(parents=True, exist_ok=True)
    places = {
        "config": "run.yaml",
        "manifest": "manifest.json",
        "summary": "metrics.json",
        "metrics": "metrics.jsonl",
        "train": "completions/train.jsonl",
        "evaluated": "completions/eval.jsonl",
        "log": "run.log",
    }
    for part, content in contents.items():
        if content is None:
            continue
        if isinstance(content, list):
            content = "".join(json.dumps(line) + "\n" for line in content)
        elif isinstance(content, dict):
            content = json.dumps(content)
        (folder / places[part]).write_bytes(content.encode("utf-8", "surrogatepass"))
    return folder


@pytest.fixture(scope="session")
def build_run() -> Build:
    """`build` itself, for a fixture that outlives a test."""
    return build


@pytest.fixture
def fake_run(tmp_path: Path) -> Build:
    """A function that writes a run's folder under the test's own folder and returns it."""

    def make(name: str = "run", **changes: Any) -> Path:
        return build(tmp_path / name, **changes)

    return make


class _Text(HTMLParser):
    """The text of a page, of one element where an id is given; and every tag with its attributes."""

    VOID = ("meta", "link", "input", "br", "path", "use")

    def __init__(self, wanted: str | None) -> None:
        super().__init__()
        self.wanted, self.inside, self.parts, self.tags = wanted, 0, [], []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.VOID:
            return
        self.parts.append(" " if self.inside else "")  # tags part words on a page
        if self.inside or self.wanted is None or dict(attrs).get("id") == self.wanted:
            self.inside += 1

    def handle_endtag(self, tag: str) -> None:
        if self.inside and tag not in self.VOID:
            self.inside -= 1

    def handle_data(self, data: str) -> None:
        if self.inside or self.wanted is None:
            self.parts.append(data)


@pytest.fixture(scope="session")
def text_of() -> Callable[..., str]:
    """A function (page, id=None) giving the text a reader sees there, white space folded."""

    def text(page: Path, id: str | None = None) -> str:
        reader = _Text(id)
        reader.feed(page.read_text(encoding="utf-8"))
        return " ".join("".join(reader.parts).split())

    return text


@pytest.fixture(scope="session")
def tags_of() -> Callable[[Path], list[tuple[str, dict[str, str | None]]]]:
    """A function giving every tag of a page with its attributes."""

    def tags(page: Path) -> list[tuple[str, dict[str, str | None]]]:
        reader = _Text(None)
        reader.feed(page.read_text(encoding="utf-8"))
        return reader.tags

    return tags


@pytest.fixture(scope="session")
def contents() -> dict[str, Any]:
    """What the fake run's files hold, for a test to change: manifest, summary, lines, completion (a function)."""
    lines = training_lines(300, seed=1, ceiling=0.87)
    return {"manifest": manifest(1e-4), "summary": SUMMARY, "lines": lines, "completion": completion}
