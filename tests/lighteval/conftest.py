"""lighteval itself, in the environment of `make install-eval`, against a server that replays stored completions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from r1lab.config.evaluating import trouble
from r1lab.engines.base import seed_of
from r1lab.evaluation.records import Record
from r1lab.evaluation.result import kept_records
from r1lab.evaluators.lighteval import evaluate
from r1lab.notebook import compose, run
from r1lab.plan.checks import plan
from tests.engines.chat_server import ChatServer, completion
from tests.lighteval import miniatures
from tests.lighteval.completions import SAMPLES, STORED

SEED = 42


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands here, and leave it out where lighteval's environment is not there."""
    here, lacking = Path(__file__).parent, trouble({})
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lighteval)
            item.add_marker(pytest.mark.timeout(900))
            if lacking:
                item.add_marker(pytest.mark.skip(reason=f"{lacking}: make test-eval"))


def letters_of(prompt: str, right: str) -> dict[str, str]:
    """The letter of the right choice in a prompt, and one of a wrong choice."""
    found = dict(re.findall(r"^([A-D])\) (.*)$", prompt, re.MULTILINE))
    gold = next(letter for letter, text in found.items() if text == right)
    return {"GOLD": gold, "OTHER": next(letter for letter in "ABCD" if letter != gold)}


def told(body: dict[str, Any], place: int) -> Any:
    """The stored completion that a request is for: its problem by the prompt, its sample by the seed."""
    messages = body["messages"]
    text = messages[-1]["content"]
    index = next(i for i in range(SAMPLES) if seed_of(SEED, messages, i) == body["seed"])
    for name, rows in miniatures.FILES.items():
        for row, stored in zip(rows, STORED[name], strict=True):
            asked = next(row[key] for key in ("problem", "Question", "question_content") if key in row)
            if asked in text:
                said = stored[index].text
                if stored[index].right is None:
                    return 400, {"error": {"message": "This model's maximum context length is 8 tokens"}}
                if name == "gpqa-diamond":
                    for word, letter in letters_of(text, row["Correct Answer"]).items():
                        said = said.replace(word, letter)
                return completion(said, tokens=11)
    return 400, {"error": {"message": f"nothing is stored for {text}"}}


@pytest.fixture(scope="session")
def server() -> Iterator[ChatServer]:
    running = ChatServer(told)
    yield running
    running.close()


@pytest.fixture(scope="session")
def words(server: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Words of a run that evaluates the miniatures on the server."""
    rows = miniatures.write(tmp_path_factory.mktemp("rows"))
    keys = (f"samples={SAMPLES}", "k=[1,4]", "max_tokens=64")
    counts = [f"benchmark.{name}.{key}" for name in STORED for key in keys]
    at = ("engine=server", f"engine.urls=[{server.url}]", "engine.patience=5", "accelerator=cpu", f"seed={SEED}")
    return ["task=eval", *rows, *counts, *at]


def resolved(words: list[str], folder: Path) -> DictConfig:
    """A run's config as its worker reads it."""
    found = plan(compose(*words), folder)
    assert not found.errors, found.errors
    return found.cfg


@pytest.fixture(scope="session")
def stock(words: list[str], tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, dict[str, Record]]:
    """A whole run with lighteval's own tasks and prompts: its folder, and the records in it."""
    folder = tmp_path_factory.mktemp("stock")
    run(compose(*words, "evaluator=lighteval", "debug=true"), folder)
    return folder, kept_records(folder)


@pytest.fixture(scope="session")
def ours(words: list[str], tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, dict[str, Record]]:
    """lighteval's metrics on r1lab's prompts: the folder, and the records that the evaluator hands over."""
    folder = tmp_path_factory.mktemp("ours")
    cfg = resolved([*words, "evaluator=lighteval", "evaluator.prompts=benchmark"], folder)
    return folder, {record.benchmark: record for record in evaluate(cfg, folder)}
