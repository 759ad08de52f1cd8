"""task=filter against a server whose model is right at known rates: the band, stopping early, parts, crashes."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from r1lab.errors import ConfigError, DataError, EngineError
from r1lab.generation.joining import join
from r1lab.notebook import compose, run
from r1lab.runs.folder import RunFolder
from r1lab.tasks import filter as task
from tests.engines.chat_server import ChatServer, completion

RATES = {0: 0.0, 1: 0.25, 2: 0.5, 3: 0.75, 4: 1.0}  # row modulo 5 → how often it is right
N = 8
Go = Callable[..., tuple[dict[str, Any], Path]]


def answered(body: dict[str, Any], _place: int) -> Any:
    """Right in the first of every four samples at a rate of a quarter, and so on: by the seed's place in the row."""
    row = int(re.search(r"problem (\d+)", body["messages"][-1]["content"])[1])
    right = random.Random(body["seed"]).random() < RATES[row % 5]
    return completion(rf"so \boxed{{{row if right else -1}}}", tokens=5)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to run in; the pages are another room's, and slow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("r1lab.launch.worker.write_page", lambda folder: None)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    served = ChatServer(answered)
    yield served
    served.close()


@pytest.fixture
def go(tmp_path: Path, server: ChatServer) -> Go:
    """Runs the task in this process on twenty rows; its metrics and its folder."""
    rows = [{"problem": f"problem {row}", "answer": str(row), "level": row % 3} for row in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(*words: str, folder: str = "run") -> tuple[dict[str, Any], Path]:
        cfg = compose(
            *("task=filter", "dataset=local", f"dataset.path={tmp_path / 'rows.jsonl'}", "engine=server"),
            *(f"engine.urls=[{server.url}]", f"task.n={N}", "reward=[accuracy]", "debug=true", *words),
        )
        return run(cfg, tmp_path / folder), tmp_path / folder

    return make


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def kept_of(folder: Path) -> dict[int, dict[str, Any]]:
    table = pq.read_table(sorted((folder / "dataset/data").glob("*.parquet")))
    return {row["row"]: row for row in table.to_pylist()}


def test_the_rows_of_the_band_with_what_was_made_of_them(go: Go, server: ChatServer) -> None:
    metrics, folder = go("reward=[accuracy,format]", "task.low=0.2", "task.high=0.8")
    rates = {line["row"]: line["pass_rate"] for line in records(folder / "pass_rates.jsonl")}
    right: dict[int, int] = dict.fromkeys(range(20), 0)
    for body in server.requests:
        row = int(body["messages"][-1]["content"].split()[1])
        right[row] += random.Random(body["seed"]).random() < RATES[row % 5]
    assert rates == {row: count / N for row, count in right.items()}  # counted at the server
    kept = kept_of(folder)
    assert set(kept) == {row for row, rate in rates.items() if 0.2 < rate < 0.8}
    assert len(server.requests) == 20 * N == metrics["samples"]
    assert metrics["kept"] == len(kept) and metrics["rows"] == 20 and metrics["samples_saved"] == 0
    assert metrics["below"] == sum(rate <= 0.2 for rate in rates.values())
    assert metrics["above"] == sum(rate >= 0.8 for rate in rates.values())
    for row, record in kept.items():
        scores = [float(rf"\boxed{{{row}}}" in text) for text in record["generations"]]
        assert record["rewards"]["accuracy"] == scores and len(scores) == N
        assert record["rewards"]["format"] == [0.0] * N
        assert record["pass_rate"] == record["pass_rates"]["accuracy"] == sum(scores) / N
        assert record["tokens"] == [5] * N and record["finishes"] == ["stop"] * N
        assert record["solution"] == str(row) and record["level"] == row % 3
        assert record["prompt"] == [{"role": "user", "content": f"problem {row}"}]
    assert load_dataset(str(folder / "dataset"), split="train").num_rows == len(kept)
    assert "above 0.2 and below 0.8" in (folder / "dataset/README.md").read_text()


def test_nothing_kept_offers_no_empty_dataset(go: Go) -> None:
    metrics, folder = go("task.low=0.98", "task.high=0.99")
    assert metrics["kept"] == 0 and not any("dataset.path=" in note for note in metrics["notes"])
    assert metrics["notes"][-1] == (
        "There is no row to train on. Try wider bounds than task.low=0.98 task.high=0.99, or more samples than "
        "task.n=8; pass_rates.jsonl has the mean of every row."
    )
    assert len(records(folder / "pass_rates.jsonl")) == 20


def test_nothing_kept_of_a_model_that_knows_nothing(go: Go, server: ChatServer) -> None:
    server.answer = lambda body, place: completion("no idea", tokens=2)
    assert "Try a better model, or wider bounds" in go()[0]["notes"][-1]


def test_stopping_early_asks_for_less_and_decides_alike(go: Go, server: ChatServer) -> None:
    metrics, folder = go(folder="all")
    asked = len(server.requests)
    early, stopped = go("task.confidence=1", folder="early")
    assert len(server.requests) - asked == early["samples"] < metrics["samples"]
    assert early["samples"] + early["samples_saved"] == metrics["samples"]
    assert {row: item["row"] for row, item in kept_of(stopped).items()}.keys() == kept_of(folder).keys()
    lines = records(stopped / "pass_rates.jsonl")
    assert {line["samples"] for line in lines if line["row"] % 5 in (0, 4)} == {
        N - 1
    }  # 0 or 7 of 7: nothing can change
    assert any(f"{early['samples_saved']} samples saved" in note for note in early["notes"])


def test_a_killed_run_makes_only_what_is_missing(go: Go, server: ChatServer) -> None:
    def dying(body: dict[str, Any], place: int) -> Any:
        return (401, {"error": "no"}) if place >= 50 else answered(body, place)

    server.answer = dying
    with pytest.raises(EngineError, match="401"):
        go("task.store=store", "engine.in_flight=1")
    assert not (RunFolder("run").path / "dataset").exists()
    server.answer, before = answered, len(server.requests)
    metrics, folder = go("task.store=store", folder="again")
    assert len(server.requests) - before == 20 * N - 50
    assert metrics["rows"] == 20 and len(records(folder / "pass_rates.jsonl")) == 20


def test_parts_are_joined_and_refused_where_they_do_not_fit(go: Go, tmp_path: Path) -> None:
    whole, folder = go("task.keep_all=true")
    for shard in range(3):
        go("task.keep_all=true", "task.shards=3", f"task.shard={shard}", folder=f"parts/{shard}")
    joined, together = go("task.join=parts", folder="joined")
    assert kept_of(together) == kept_of(folder)
    assert list(kept_of(together)) == list(range(20))
    assert (together / "pass_rates.jsonl").read_text() == (folder / "pass_rates.jsonl").read_text()
    names = ("rows", "kept", "below", "above", "samples", "tokens")
    assert {name: joined[name] for name in names} == {name: whole[name] for name in names}

    def refused(*parts: str) -> str:
        cfg = compose("task=filter", f"task.join=[{','.join(parts)}]")
        with pytest.raises(ConfigError) as error:
            join(cfg, RunFolder(tmp_path / "no"))
        assert not (tmp_path / "no").exists()
        return str(error.value)

    assert "parts/0 and parts/2: rows 6 to 12 are in no part" in refused("parts/2", "parts/0")
    assert "parts/0 and parts/0: rows 0 to 5 are in both" in refused("parts/0", "parts/0")
    assert "2 of 3 parts are there: task.shard 2 is missing" in refused("parts/0", "parts/1")
    assert "nowhere holds no run" in refused("nowhere")
    part = RunFolder("parts/1")
    cfg = part.read_config()
    cfg.task.high = 0.9
    part.write_config(cfg)
    assert "task.high is 0.8 in parts/0 and 0.9 in parts/1" in refused("parts")
    (part.path / "filter.json").unlink()
    assert "parts/1 holds no finished part" in refused("parts")


def test_more_parts_than_rows_are_joined_as_well(go: Go, server: ChatServer, tmp_path: Path) -> None:
    """An array of eight over three rows is no array of five failures that can never be joined."""
    for shard in range(8):
        words = ("task.keep_all=true", "task.end=3", "task.confidence=0.95", "task.shards=8", f"task.shard={shard}")
        go(*words, folder=f"parts/{shard}")
    empty = pq.read_table(tmp_path / "parts/0/dataset/data/train-00000.parquet")
    assert len(empty) == 0 and "pass_rate" in empty.column_names
    with pytest.raises(ValueError, match="no data"):  # the word of `datasets` for no row, not for a file it cannot read
        load_dataset(str(tmp_path / "parts/0/dataset"), split="train")
    asked = len(server.requests)
    metrics, folder = go(f"task.join={tmp_path / 'parts'}", folder="whole")
    assert [row["row"] for row in load_dataset(str(folder / "dataset"), split="train")] == [0, 1, 2]
    assert (metrics["rows"], metrics["kept"] + metrics["below"] + metrics["above"]) == (3, 3)
    assert len(server.requests) == asked


def test_rows_from_here_to_there(go: Go) -> None:
    _, folder = go("task.start=3", "task.end=9", "task.shards=2", "task.shard=1")
    assert [line["row"] for line in records(folder / "pass_rates.jsonl")] == [6, 7, 8]
    with pytest.raises(DataError, match=r"none is left for task\.start=30"):
        go("task.start=30", folder="none")


def test_what_cannot_be_made_is_no_wrong_answer(go: Go, server: ChatServer) -> None:
    server.answer = lambda body, place: (
        (400, {"error": "no"}) if body["messages"][-1]["content"] == "problem 4" else answered(body, place)
    )
    metrics, folder = go()
    assert metrics["unmeasured"] == 1 and metrics["failures"] == N
    (line,) = [line for line in records(folder / "pass_rates.jsonl") if line["row"] == 4]
    assert line["pass_rate"] is None and line["place"] == "unmeasured"


def test_shares_do_not_stop_early(go: Go, server: ChatServer) -> None:
    server.answer = lambda body, place: completion("<think>\nso")
    with pytest.raises(DataError, match=r"right or wrong, and the reward of row 0 is 0\.25"):
        go("reward=[tag_count]", "task.confidence=0.95")


def test_the_side_of_a_rate() -> None:
    band = task.Band(0.2, 0.8, 8)
    assert [task.side(rate, band) for rate in (0.0, 0.2, 0.8, 1.0, 0.3, 0.7)] == ["below"] * 2 + ["above"] * 2 + [
        "below",
        "above",
    ]
