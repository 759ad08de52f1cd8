"""task=generate against a real vLLM server, and the server engine by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from datasets import load_dataset

from r1lab.engines.base import Sampling
from r1lab.engines.store import Store
from tests.vllm.conftest import Served

ASKED = [[{"role": "user", "content": f"What is {i + 100} + {i * 7 + 111}?"}] for i in range(24)]


def command(served: Served, *words: str) -> list[str]:
    """The command of a run that asks the server for completions."""
    return [sys.executable, "-m", "r1lab", "task=generate", *served.words, *words]


def pairs(folder: Path) -> list[tuple[int, int]]:
    """(row, sample) of every completion of a run."""
    rows = load_dataset("parquet", data_files=str(folder / "dataset/all/*.parquet"), split="train")
    return list(zip(rows["row"], rows["sample"], strict=True))


def texts(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    return [[item.text for item in row] for row in rows]  # type: ignore[attr-defined]


def test_a_seed_gives_the_same_completions_whatever_is_asked_for_beside_them(served: Served) -> None:
    four = served.engine.generate(ASKED, Sampling(n=4, max_tokens=48, seed=3))
    two = served.engine.generate(ASKED[:5], Sampling(n=2, max_tokens=48, seed=3, first=2))
    other = served.engine.generate(ASKED, Sampling(n=4, max_tokens=48, seed=4))
    same = [a == b[2:] for a, b in zip(texts(two), texts(four), strict=False)]
    assert sum(same) >= 4  # sums of floats depend on the batch: a near tie may fall the other way
    assert texts(other) != texts(four)
    every = [item for row in four for item in row]
    assert {item.finish for item in every} <= {"stop", "length"}
    assert all(0 < item.tokens <= 48 and item.prompt_tokens and not item.error for item in every)
    assert len({item.text for item in four[0]}) > 1


def test_a_prompt_that_is_too_long_is_recorded_as_that(served: Served) -> None:
    long = [{"role": "user", "content": "7" * 250}]
    ((item,), *rest) = served.engine.generate([long, *ASKED[:3]], Sampling(max_tokens=48))
    assert item.finish == "overflow" and "maximum context length" in item.error and item.text == ""
    assert all(not row[0].error for row in rest)
    assert served.ready.context == 256


def test_a_run_that_is_killed_goes_on_where_it_was(served: Served, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("dataset.train=200", "task.n=4", "task.max_tokens=48", "reward=[accuracy]", f"hydra.run.dir={run}")
    child = subprocess.Popen(command(served, *words), cwd=tmp_path, process_group=0)
    until = time.monotonic() + 240
    while not (run / "store").is_dir() or lines(run) < 100:
        assert child.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)  # the launcher; the kernel takes the worker with it
    child.wait()
    with Store(run / "store") as store:
        before = {(record["key"], record["index"]): record["completion"] for record in store.records()}
    assert 100 <= len(before) < 800
    subprocess.run([sys.executable, "-m", "r1lab", f"resume={run}"], cwd=tmp_path, check=True)
    with Store(run / "store") as store:
        after = {(record["key"], record["index"]): record["completion"] for record in store.records()}
    assert len(after) == 800 and before.items() <= after.items()
    assert sorted(pairs(run)) == [(i, j) for i in range(200) for j in range(4)]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["failures"] == 0 and metrics["tokens_per_second"] > 0


def test_more_samples_make_only_the_missing_ones(served: Served, tmp_path: Path) -> None:
    run, words = tmp_path / "run", ("dataset.train=20", "task.max_tokens=48", "reward=[]")
    subprocess.run(command(served, *words, "task.n=2", f"hydra.run.dir={run}"), cwd=tmp_path, check=True)
    subprocess.run([sys.executable, "-m", "r1lab", f"resume={run}", "task.n=5"], cwd=tmp_path, check=True)
    assert sorted(pairs(run)) == [(i, j) for i in range(20) for j in range(5)]
    assert lines(run) == 100


def lines(run: Path) -> int:
    """Completions in a run's store."""
    return sum(len(file.read_bytes().splitlines()) for file in (run / "store").glob("*.jsonl"))


@pytest.mark.parametrize("problems", [12])
def test_the_likeliest_tokens_are_those_that_transformers_takes(served: Served, problems: int) -> None:
    from r1lab.engines.transformers import TransformersEngine
    from r1lab.models import loading

    model, tokenizer = loading.load(served.cfg.model, "cpu")
    greedy = Sampling(temperature=0.0, max_tokens=48)
    here = TransformersEngine(model, tokenizer).generate(ASKED[:problems], greedy)
    there = served.engine.generate(ASKED[:problems], greedy)
    assert texts(here) == texts(there)
    assert [row[0].tokens for row in here] == [row[0].tokens for row in there]
    assert [row[0].prompt_tokens for row in here] == [row[0].prompt_tokens for row in there]
