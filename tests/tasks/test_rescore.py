"""task=rescore on completions of every kind: scores against rewards called by hand, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from r1lab.errors import ConfigError, DataError
from r1lab.evaluation.records import Problem, Record, Sample, lines
from r1lab.notebook import compose, run
from r1lab.report.page import write_page
from r1lab.rewards import load

Made = tuple[dict[str, Any], Path]
BOXED, TAGGED = r"<think>{s}</think>\boxed{{{a}}}", "<think>\n{s}\n</think>\n<answer>\n{a}\n</answer>"


def completions() -> list[dict[str, Any]]:
    """Six of three problems: right and wrong, in the form and not; what was scored before holds half of it wrong."""
    rows = []
    for i, (a, right, form) in enumerate([(1, 1, 1), (1, 0, 1), (2, 1, 0), (2, 1, 1), (3, 0, 0), (3, 0, 1)]):
        said = (TAGGED if form else BOXED).format(s=f"{a}+{a}", a=2 * a if right else 99)
        stored = {"accuracy": float(i % 2 == 0), "format": None}
        row = {"step": 0, "problem": i // 2, "sample": i % 2, "prompt": f"What is {a}+{a}?", "completion": said}
        rows.append({**row, "solution": str(2 * a), "rewards": stored, "tokens": 9, "finish": "stop"})
    return rows


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Made]:
    """Rescores in this process; the metrics and the folder."""
    monkeypatch.chdir(tmp_path)

    def make(path: Path | str, *words: str) -> Made:
        cfg = compose("task=rescore", f"task.completions='{path}'", "accelerator=cpu", "debug=true", *words)
        folder = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        return run(cfg, folder), folder

    return make


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_scores_are_the_rewards_own_and_the_table_is_right(go: Callable[..., Made], tmp_path: Path) -> None:
    rows = completions()
    metrics, folder = go(written(tmp_path / "own.jsonl", rows), "reward=[accuracy,format]", "task.shown=1")
    texts, gold = [row["completion"] for row in rows], [row["solution"] for row in rows]
    accuracy, form = load("accuracy")(texts, solution=gold), load("format")(texts)
    assert accuracy == [1, 0, 1, 1, 0, 0] and form == [1, 1, 0, 1, 0, 1]
    kept = [json.loads(line) for line in (folder / "completions/eval.jsonl").read_text().splitlines()]
    assert [row["rewards"]["accuracy"] for row in kept] == accuracy
    assert [row["rewards"]["format"] for row in kept] == form
    assert [row["rewards"]["stored.accuracy"] for row in kept] == [1, 0, 1, 0, 1, 0]
    assert metrics["rescore/accuracy"] == pytest.approx(0.5) and metrics["rescore/format"] == pytest.approx(4 / 6)
    record = json.loads((folder / "rescore.json").read_text())
    assert record["names"] == ["accuracy", "format"]
    assert record["counts"] == [[2, 1], [2, 1]] and record["passed"] == [2, 1, 2, 1]
    assert metrics["rescore/disagree"] == 0.5
    assert metrics["rescore/correlation"] == pytest.approx(0.0)
    assert len(record["worst"]) == 1
    apart = [json.loads(line) for line in (folder / "disagreements.jsonl").read_text().splitlines()]
    assert [(row["problem"], row["sample"]) for row in apart] == [(0, 1), (1, 0), (2, 1)]
    page = write_page(folder).read_text()
    assert "accuracy against format" in page and "1 of 3, in full" in page


def test_one_reward_is_compared_with_what_was_stored(go: Callable[..., Made], tmp_path: Path) -> None:
    metrics, folder = go(written(tmp_path / "own.jsonl", completions()), "reward=[accuracy]")
    record = json.loads((folder / "rescore.json").read_text())
    assert record["names"] == ["stored.accuracy", "accuracy"]
    assert record["passed"] == [2, 1, 1, 2] and metrics["rescore/disagree"] == pytest.approx(2 / 6)


def test_a_run_its_dataset_and_its_store_hold_the_same(go: Callable[..., Made], tmp_path: Path) -> None:
    rows, other = completions(), tmp_path / "other"
    (other / "dataset/sft").mkdir(parents=True)
    (other / "dataset/all").mkdir()
    (other / "run.yaml").write_text("name: other\n")
    turns = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in rows]
    pq.write_table(pa.Table.from_pylist(turns), other / "dataset/all/train-0.parquet")
    store = written(other / "store/1.jsonl", [{"key": "ab", "index": i, **rows[i]} for i in range(6)])
    with store.open("a") as file:
        file.write('{"key": "ab", "index": 9, "error": "gone"}\n{"key": "ab", "ind')  # a failure, and a kill
    (other / "store/store.json").write_text('{"version": 1}')
    scores = []
    for path in (other, other / "dataset", other / "store"):
        _, folder = go(path, "reward=[accuracy]")
        kept = [json.loads(line) for line in (folder / "completions/eval.jsonl").read_text().splitlines()]
        scores.append([row["rewards"]["accuracy"] for row in kept])
    assert scores == [[1, 0, 1, 1, 0, 0]] * 3


def test_steps_and_streams_of_a_training(go: Callable[..., Made], tmp_path: Path) -> None:
    rows = completions()
    late = [{**row, "step": 5} for row in rows[:2]]
    trained = tmp_path / "trained"
    written(trained / "completions/eval.jsonl", rows)
    written(trained / "completions/train.jsonl", rows + late)
    (trained / "run.yaml").write_text("name: trained\n")
    metrics, _ = go(trained, "reward=[accuracy]", "task.stream=train", "task.step=-1")
    assert metrics["completions"] == 2
    with pytest.raises(DataError, match=r"no completion of that step\n    fix      one of \[0, 5\]"):
        go(trained, "reward=[format]", "task.stream=train", "task.step=3")


def test_every_completion_of_a_benchmark_is_scored_and_not_only_the_page_s(
    go: Callable[..., Made], tmp_path: Path
) -> None:
    measured = tmp_path / "measured"
    (measured / "evaluation").mkdir(parents=True)
    (measured / "run.yaml").write_text("task: {name: eval}\nbenchmark: {sums: {}, more: {}}\n")
    written(measured / "completions/eval.jsonl", completions()[:4])  # what the page shows
    for name, count in (("sums", 30), ("more", 1)):
        problems = tuple(
            Problem(f"{name}{i}", f"{name}: {i}+{i}?", str(2 * i), (said(2 * i, 0.0), said(2 * i + i % 2, None)))
            for i in range(count)
        )
        with (measured / f"evaluation/{name}.jsonl").open("w") as file:
            file.writelines(f"{line}\n" for line in lines(Record(name, 2, problems, {})))
        (measured / f"evaluation/{name}.json").write_text("{}")
    for path in (measured, measured / "evaluation"):
        metrics, folder = go(path, "reward=[accuracy]")
        assert metrics["completions"] == 62
        assert metrics["rescore/accuracy"] == pytest.approx((15 * 1 + 15 * 0.5 + 1) / 31)
        kept = [json.loads(line) for line in (folder / "completions/eval.jsonl").read_text().splitlines()]
        assert [(row["problem"], row["sample"]) for row in kept] == [(i, j) for i in range(31) for j in (0, 1)]
        assert kept[0]["rewards"] == {"accuracy": 1.0, "stored.more": 0.0, "stored.sums": None}
    metrics, _ = go(measured / "evaluation/sums.jsonl", "reward=[accuracy]")
    assert metrics["completions"] == 60
    (measured / "run.yaml").write_text(
        "task: {name: eval}\nbenchmark: {}\n"
    )  # held-out problems: all are there, with every reward
    assert go(measured, "reward=[accuracy]")[0]["completions"] == 4


def test_failed_machinery_is_told_from_what_cannot_be_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "conf/reward").mkdir(parents=True)
    (tmp_path / "conf/reward/shaky.yaml").write_text("shaky:\n  _target_: shaky.score\n  max_failures: 0.5\n")
    (tmp_path / "shaky.py").write_text(
        "from r1lab.rewards.base import Failure\n\n"
        "def score(completions):\n    return [None, None, Failure('gone'), 1.0, 1.0, 0.0]\n"
    )
    written(tmp_path / "own.jsonl", completions())
    words = ("task=rescore", "task.completions=own.jsonl", "accelerator=cpu", "debug=true", "reward=[shaky]")
    words = (*words, "plugins=[shaky]")
    metrics = run(compose(*words, config_dir=tmp_path / "conf"), tmp_path / "run")
    assert metrics["rescore/skipped/shaky"] == pytest.approx(2 / 6)
    assert metrics["rescore/infrastructure_failures/shaky"] == pytest.approx(1 / 6)


def said(number: int, score: float | None) -> Sample:
    return Sample(f"\\boxed{{{number}}}", score, finish="stop", tokens=3)


@pytest.mark.parametrize(
    ("words", "what", "nearest"),
    [
        (
            ["reward=[code]"],
            "reward code reads column 'verification_info', which the completions in own.jsonl lack",
            "",
        ),
        (
            ["reward=[accuracy]", "task.compare=[stored.acuracy,accuracy]"],
            "task.compare: there is no reward stored.acuracy",
            "stored.accuracy",
        ),
        (["reward=[accuracy]", "task.compare=[accuracy]"], "task.compare=['accuracy'] does not name two rewards", ""),
        (["reward=[]"], "task=rescore needs at least one reward", "reward=[accuracy]"),
        (["task.stream=eval"], "task.stream=eval: own.jsonl is no run's folder, which alone has streams", ""),
        (["task.least=[1.0,x]"], "task.least=[1.0, 'x'] is neither one number nor one for each of two rewards", ""),
        (["task.completions=owm.jsonl"], "owm.jsonl does not exist", "own.jsonl"),
        (["task.completions=bad.jsonl"], "bad.jsonl:2 is broken", ""),
        (["task.completions=empty.jsonl"], "empty.jsonl holds no completion", ""),
        (["task.completions=other.jsonl"], "other.jsonl has no column completion or messages", ""),
    ],
)
def test_what_cannot_be_rescored_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], what: str, nearest: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "own.jsonl", completions())
    (tmp_path / "bad.jsonl").write_text('{"completion": "a"}\n{"compl\n')
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "other.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(ConfigError) as caught:
        run(compose("task=rescore", "accelerator=cpu", "task.completions=own.jsonl", *words), tmp_path / "run")
    assert caught.value.findings[0].what.startswith(what)
    assert caught.value.findings[0].nearest == nearest
    assert not (tmp_path / "run").exists()


def test_completions_without_text_are_named(go: Callable[..., Made], tmp_path: Path) -> None:
    rows = completions()
    rows[4]["completion"] = None
    with pytest.raises(DataError, match="completion 5 has no text"):
        go(written(tmp_path / "own.jsonl", rows), "reward=[accuracy]")
