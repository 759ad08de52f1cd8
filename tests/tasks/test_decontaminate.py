"""task=decontaminate on files of every kind: flags, spans, duplicates, what is left out, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, load_dataset
from omegaconf import OmegaConf

from r1lab.errors import DataError
from r1lab.notebook import compose
from r1lab.plan.checks import resolve
from r1lab.runs.folder import RunFolder
from r1lab.tasks import decontaminate

EXAM = [
    "one two three four five six seven eight nine",
    "Find x.",
    "what is the largest prime below one hundred and one ?",
]
OTHER = ["unrelated words only", "a b c d e f g h i j"]
TEXTS = [
    "clean words that stand nowhere else in any of the benchmarks here",
    "say: ONE two\tthree four five six  seven eight and more",  # the exam's first
    "find X.",  # as short as the exam's second, and the same
    None,
    "now a b c d e f g h as well as two three four five six seven eight nine",  # of both
    "clean words that stand nowhere else in any of the benchmarks here",  # repeats row 0
    "",
    "clean words that stand nowhere else in any of the benchmarks there",  # nearly row 0
    "find X. please",
]
Go = Callable[..., tuple[dict[str, Any], Path]]


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """Runs the task in this process against two small benchmarks; its metrics and its folder."""
    monkeypatch.chdir(tmp_path)
    for name, texts in (("exam", EXAM), ("other", OTHER)):
        pq.write_table(pa.table({"problem": texts}), f"{name}.parquet")
    rows = [{"problem": text, "level": n} for n, text in enumerate(TEXTS)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(*words: str, path: str = "rows.jsonl") -> tuple[dict[str, Any], Path]:
        against = "task.against=[{path: exam.parquet},{path: other.parquet}]"
        cfg = resolve(compose("task=decontaminate", "dataset=local", f"dataset.path={path}", against, *words))
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir(exist_ok=True)
        return decontaminate.run(cfg, folder), folder.path

    return make


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return load_dataset(str(folder / "dataset"), split="train").to_list()


def test_flags_spans_and_their_sources(go: Go) -> None:
    metrics, folder = go()
    rows = rows_of(folder)
    assert [row["problem"] for row in rows] == TEXTS and [row["level"] for row in rows] == list(range(9))
    assert [n for n, row in enumerate(rows) if row["contaminated_exam"]] == [1, 2, 4]
    assert [n for n, row in enumerate(rows) if row["contaminated_other"]] == [4]
    assert rows[1]["contamination"] == [
        {"source": "exam", "document": 0, "span": "one two three four five six seven eight"}
    ]
    assert rows[2]["contamination"] == [{"source": "exam", "document": 1, "span": "find x."}]
    assert {item["source"]: item["span"] for item in rows[4]["contamination"]} == {
        "exam": "two three four five six seven eight nine",
        "other": "a b c d e f g h",
    }
    assert rows[0]["contamination"] == [] and "duplicate_of" not in rows[0]
    flagged = [json.loads(line) for line in (folder / "flagged.jsonl").read_text().splitlines()]
    assert [line["row"] for line in flagged] == [1, 2, 4]
    assert flagged[0]["contamination"] == rows[1]["contamination"]
    counted = {key: metrics[key] for key in ("rows", "contaminated", "contaminated/exam", "contaminated/other", "kept")}
    assert counted == {"rows": 9, "contaminated": 3, "contaminated/exam": 3, "contaminated/other": 1, "kept": 9}
    assert not (folder / ".scratch").exists()


def test_duplicates_are_told_with_the_row_that_they_repeat(go: Go) -> None:
    _, folder = go("task.duplicates=exact")
    assert [row["duplicate_of"] for row in rows_of(folder)] == [None] * 5 + [0] + [None] * 3
    metrics, folder = go("task.duplicates=near", "task.similarity=0.7", "task.shingle=3", "task.against=[]")
    rows = rows_of(folder)
    assert [row["duplicate_of"] for row in rows] == [None] * 5 + [0, None, 0, None]
    assert rows[5]["duplicate_similarity"] == 1.0 and 0.7 <= rows[7]["duplicate_similarity"] < 1
    assert metrics["duplicates"] == 2 and "contamination" not in rows[0]


def test_what_is_flagged_is_left_out(go: Go) -> None:
    metrics, folder = go("task.remove=true", "task.duplicates=exact", "task.ngram=7")
    rows = rows_of(folder)
    assert [row["level"] for row in rows] == [0, 3, 6, 7, 8] and set(rows[0]) == {"problem", "level"}
    assert metrics["kept"] == 5
    flagged = [json.loads(line) for line in (folder / "flagged.jsonl").read_text().splitlines()]
    assert [line["row"] for line in flagged] == [1, 2, 4, 5] and flagged[3]["duplicate_of"] == 0
    card = (folder / "dataset/README.md").read_text()
    assert "# rows_decontaminated" in card and "share 7 words in a row with exam, other are left out" in card


def test_a_copy_of_what_is_left_out_is_not_kept_for_it(go: Go) -> None:
    """Of two contaminated copies neither stands for the other."""
    Path("rows.jsonl").write_text(
        "".join(json.dumps({"problem": EXAM[0]}) + "\n" for _ in range(2)) + '{"problem": "y"}\n'
    )
    metrics, folder = go("task.remove=true", "task.duplicates=near")
    assert [row["problem"] for row in rows_of(folder)] == ["y"] and metrics["duplicates"] == 0


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet", "saved", "split"])
def test_local_forms(go: Go, form: str, tmp_path: Path) -> None:
    texts = [text or "nothing" for text in TEXTS]
    data = Dataset.from_dict({"problem": texts, "level": list(range(9)), "tags": [["x", None]] * 9})
    path = tmp_path / f"rows.{form}"
    if form in ("jsonl", "json"):
        rows = data.to_list()
        path.write_text(json.dumps(rows) if form == "json" else "".join(json.dumps(row) + "\n" for row in rows))
    elif form == "csv":
        data = data.remove_columns("tags")
        data.to_csv(path, index=False)
    elif form == "parquet":
        path.mkdir()
        data.select(range(4)).to_parquet(path / "a.parquet")
        data.select(range(4, 9)).to_parquet(path / "b.parquet")
    else:
        (DatasetDict({"train": data}) if form == "split" else data).save_to_disk(path)
    _, folder = go(path=str(path))
    rows = rows_of(folder)
    assert [row["contaminated_exam"] for row in rows] == [n in (1, 2, 4) for n in range(9)]
    assert [{name: row[name] for name in data.column_names} for row in rows] == data.to_list()


def test_conversations_are_compared_by_what_their_users_say(go: Go) -> None:
    turns = [{"role": "system", "content": EXAM[0]}, {"role": "user", "content": "hello"}]
    asked = [{"role": "user", "content": f"well {EXAM[0]}"}, {"role": "assistant", "content": "yes"}]
    Path("rows.jsonl").write_text("".join(json.dumps({"turns": item}) + "\n" for item in (turns, asked)))
    _, folder = go("dataset.prompt=turns")
    assert [row["contaminated_exam"] for row in rows_of(folder)] == [False, True]


def test_flags_of_an_earlier_time_are_replaced(go: Go, capsys: pytest.CaptureFixture[str]) -> None:
    _, folder = go()
    (folder / "dataset").rename("again")
    _, folder = go("task.against=[{path: exam.parquet}]", path="again")
    assert [row["contaminated_exam"] for row in rows_of(folder)] == [n in (1, 2, 4) for n in range(9)]
    assert "replaced contaminated_exam, contamination: the rows had such columns" in capsys.readouterr().out
    assert list(rows_of(folder)[0])[:3] == ["problem", "level", "contaminated_other"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["dataset.prompt=level"], "dataset.prompt=level: that column of rows.jsonl holds int64, not text"),
        (["dataset.prompt=problm"], "dataset.prompt=problm: rows.jsonl has no such column"),
        (["task.against=[aime24]"], "aime24: dataset.repo=HuggingFaceH4/aime_2024 cannot be loaded: HF_HUB_OFFLINE"),
        (["task.against=[{path: exam.parquet, prompt: q}]"], "task.against: exam: prompt=q: exam.parquet has no such"),
        (["task.against=[{path: nowhere.csv}]"], "task.against: nowhere: nowhere.csv does not exist"),
        (["dataset.path=empty.jsonl"], "empty.jsonl is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_leaves_nothing(go: Go, words: list[str], what: str, tmp_path: Path) -> None:
    Path("empty.jsonl").touch()
    with pytest.raises(DataError) as error:
        go(*words)
    assert what in str(error.value)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_kill_in_the_middle_leaves_nothing_half_written(tmp_path: Path) -> None:
    """Killed once its scratch is there; done again in the same folder it is as if it had never been killed."""
    pq.write_table(
        pa.table({"problem": [f"{TEXTS[0]} {n}" for n in range(60_000)] + [EXAM[0]]}), tmp_path / "rows.parquet"
    )
    pq.write_table(pa.table({"problem": EXAM}), tmp_path / "exam.parquet")
    cfg = compose(
        *("task=decontaminate", "dataset=local", f"dataset.path={tmp_path}/rows.parquet", "task.duplicates=exact"),
        f"task.against=[{{path: {tmp_path}/exam.parquet}}]",
    )
    folder = RunFolder(tmp_path / "run")
    run_yaml = folder.write_config(cfg)
    child = subprocess.Popen([sys.executable, "-m", "r1lab.launch.worker", str(run_yaml)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while not (folder.path / ".scratch/signatures").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (folder.path / "dataset").exists() and not (folder.path / "flagged.jsonl").exists()
    metrics = decontaminate.run(cfg, folder)
    assert metrics["contaminated"] == 1 and metrics["rows"] == 60_001
    assert pq.read_table(folder.path / "dataset/data").num_rows == 60_001
    assert {item.name for item in folder.path.glob(".*")} <= {".lock"}


@pytest.mark.parametrize(("count", "said"), [(1, "1 row repeats an earlier one"), (2, "2 rows repeat an earlier one")])
def test_repeats_are_counted_in_words(count: int, said: str) -> None:
    told = decontaminate.notes(
        {"contaminated": 0, "rows": 3, "duplicates": count},
        3,
        OmegaConf.create({"duplicates": "exact", "remove": False}),
    )
    assert told == ["0 of 3 rows contaminated", f"{said} (exact)", "3 rows written"]
