"""`make evaluate` itself: refused where MODEL is nothing, and run to its end on a server and a benchmark in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.chat_server import ChatServer, completion
from tests.lighteval import miniatures

ROOT = Path(__file__).parents[2]


def make(*given: str) -> subprocess.CompletedProcess[str]:
    """`make evaluate` with this Python, which has what `install` would install."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "-o", "install", "evaluate", f"RUN={sys.executable} -m r1lab", *given]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)


@pytest.mark.parametrize("model", ["outputs/grpo-tiny/nowhere/model", "/nowhere", "./", "../model"])
def test_a_folder_without_a_model_is_not_taken_for_a_repository(model: str) -> None:
    said = make(f"MODEL={model}", "ARGS=dry_run=true")
    assert said.returncode == 2
    assert f"MODEL={model} is no folder with a model (config.json), and no ORG/NAME" in said.stdout


@pytest.mark.parametrize("name", ["config.json", "adapter_config.json"])
def test_a_folder_with_a_model_or_an_adapter_is_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    assert f"model.path={tmp_path} " in make("-n", f"MODEL={tmp_path}").stdout


@pytest.mark.whole
def test_it_evaluates(tmp_path: Path) -> None:
    """Of five problems the first two are answered right, by a server that is there."""
    rows = miniatures.AIME
    golds = {row["problem"]: row["answer"] for row in rows[:2]}
    file = tmp_path / "aime.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def answer(body: dict[str, object], _place: int) -> object:
        text = body["messages"][-1]["content"]  # type: ignore[index]
        return completion(f"\\boxed{{{next((gold for asked, gold in golds.items() if asked in text), -1)}}}")

    server = ChatServer(answer)
    try:
        words = f"engine.urls=[{server.url}] engine.model=tiny outputs={tmp_path} accelerator=cpu"
        own = f"benchmark.aime24.path={file} benchmark.aime24.samples=2 benchmark.aime24.k=[1,2]"
        said = make("MODEL=deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "TASK=aime24", f"ARGS={words} {own}")
    finally:
        server.close()
    assert said.returncode == 0, said.stdout + said.stderr
    assert "aime24, 5 problems × 2: pass@1 40.0%" in said.stdout and "Open-R1, many samples" in said.stdout
    (found,) = tmp_path.glob("eval-*/*/metrics.json")
    assert json.loads(found.read_text())["eval/aime24/pass@1"] == 0.4 and len(server.requests) == 10
