"""`python -m tests.drill.generation_kills`: a generation of 2,000 rows, killed twenty times, and what is left of it.

Each kill is a SIGKILL of the run's processes at a random moment; the run goes on with `resume=`. At the end the dataset
must hold every (row, index) once, and every completion that stood in the store before a kill as it was. Completions
come from a stand-in over real HTTP that says what it was asked with which seed, so that each can be told from another.
Result in benchmarks/results/generation_kills.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets import load_dataset

from benchmarks.measure import keep
from r1lab.engines.base import seed_of
from r1lab.engines.store import Store
from tests.engines.chat_server import ChatServer, completion

SEED = 7
LATENCY = 0.02  # seconds of an answer
MORE = 24  # requests that are still answered once a kill is due; with those to come, the run cannot end before it


async def answer(body: dict[str, Any]) -> dict[str, Any]:
    """An answer that names its question and its seed, after a while."""
    await asyncio.sleep(LATENCY)
    asked = str(body["messages"][-1]["content"])
    return completion(f"{asked}|{body['seed']}", tokens=len(asked))


def drill(
    folder: Path, rows: int = 2000, n: int = 1, kills: int = 20, dice: random.Random | None = None
) -> dict[str, Any]:
    """Generate, kill, resume, and compare with what each (row, index) must have; the facts for the result.

    Raises:
        AssertionError: something is missing, twice there, or another's.
    """
    dice = dice or random.Random(SEED)
    answered = 0.0  # requests that may be answered by now

    async def reply(body: dict[str, Any], place: int) -> dict[str, Any]:
        while place >= answered:
            await asyncio.sleep(0.01)
        return await answer(body)

    server = ChatServer(reply)
    data = folder / "problems.jsonl"
    data.write_text(
        "".join(json.dumps({"problem": f"What is {i} + {i}?", "answer": str(2 * i)}) + "\n" for i in range(rows))
    )
    run = folder / "run"
    words = (
        "task=generate",
        "accelerator=cpu",
        "engine=server",
        f"engine.urls=[{server.url}]",
        "engine.in_flight=8",
        "dataset=local",
        f"dataset.path={data}",
        f"task.n={n}",
        "task.seed=1",
        "reward=[]",
        f"hydra.run.dir={run}",
    )
    kept: dict[tuple[str, int], str] = {}
    done = 0
    for number in range(kills):
        target = (number + 1) * rows * n // (kills + 1)
        answered = len(server.requests) + target - count(run) + MORE
        child = start(folder, words if number == 0 else (f"resume={run}",))
        while count(run) < target:
            assert child.poll() is None, "the run ended by itself"
            time.sleep(0.005)
        time.sleep(dice.random() * 0.05)
        os.killpg(child.pid, signal.SIGKILL)
        done += child.wait() == -signal.SIGKILL
        wait_for_the_worker(run)
        now = content(run)
        assert kept.items() <= now.items(), "a completion that was kept is gone or another one"
        kept = now
    answered = float("inf")
    assert start(folder, (f"resume={run}",)).wait() == 0
    made = load_dataset("parquet", data_files=str(run / "dataset/all/*.parquet"), split="train")
    pairs = sorted(zip(made["row"], made["sample"], strict=True))
    assert pairs == [(i, j) for i in range(rows) for j in range(n)], "a (row, index) is missing or there twice"
    for row in made:
        asked = [{"role": "user", "content": row["problem"]}]
        assert row["completion"] == f"{row['problem']}|{seed_of(1, asked, row['sample'])}"
    assert kept.items() <= content(run).items()
    asked_for = len(server.requests)
    server.close()
    return {"rows": rows, "n": n, "kills": done, "completions": len(pairs), "requests": asked_for}


def start(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """A run in a process group of its own."""
    command = [sys.executable, "-m", "r1lab", *words]
    return subprocess.Popen(command, cwd=folder, process_group=0, stdout=subprocess.DEVNULL)


def count(run: Path) -> int:
    """Completions in a run's store, a torn last line included."""
    return sum(file.read_bytes().count(b"\n") for file in (run / "store").glob("*.jsonl"))


def content(run: Path) -> dict[tuple[str, int], str]:
    """What a run's store holds."""
    with Store(run / "store") as store:
        return {(record["key"], record["index"]): record["completion"] for record in store.records()}


def wait_for_the_worker(run: Path) -> None:
    """Wait until nobody holds the run's folder: the kernel ends the worker after its launcher."""
    subprocess.run(["flock", str(run / ".lock"), "true"], check=True)


def main() -> None:
    """Run the drill and keep its result."""
    with tempfile.TemporaryDirectory(prefix="r1lab-kills-") as folder:
        began = time.monotonic()
        facts = drill(Path(folder))
        facts["seconds"] = round(time.monotonic() - began, 1)
    keep("generation_kills", facts)


if __name__ == "__main__":
    main()
