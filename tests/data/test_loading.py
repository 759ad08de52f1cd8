"""Files and rows become conversations with the gold answer in `solution`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from omegaconf import DictConfig

from r1lab.data import hub, local
from r1lab.data.loading import conversations, fingerprint, last_user_text, load
from r1lab.data.splits import split_off
from r1lab.errors import DataError
from r1lab.notebook import compose

ROWS = [{"problem": f"{i} + {i}?", "answer": 2 * i, "level": i % 3} for i in range(10)]
WRITERS = {
    ".jsonl": lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in ROWS)),
    ".json": lambda path: path.write_text(json.dumps(ROWS)),
    ".csv": lambda path: Dataset.from_list(ROWS).to_csv(path),
    ".parquet": lambda path: Dataset.from_list(ROWS).to_parquet(path),
}


def write(path: Path) -> Path:
    """The ten rows in a file of the suffix's format."""
    WRITERS[path.suffix.lower()](path)
    return path


def config(path: Path, *words: str) -> DictConfig:
    """A local dataset's node; the words change it without asking the planner."""
    node = compose("dataset=local", f"dataset.path={path}", "model=hub", "model.repo=a/b").dataset
    for word in words:
        key, _, value = word.partition("=")
        node[key] = None if value == "null" else int(value) if value.isdigit() else value
    return node


@pytest.mark.parametrize("suffix", [*WRITERS, ".JSONL"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    splits = load(config(write(tmp_path / f"rows{suffix}"), "test=4"))
    assert (len(splits.train), len(splits.test)) == (6, 4)
    rows = sorted([*splits.train, *splits.test], key=lambda row: int(row["solution"]))
    assert rows == [
        {
            "problem": row["problem"],
            "answer": row["answer"],
            "level": row["level"],
            "prompt": [{"role": "user", "content": row["problem"]}],
            "solution": str(row["answer"]),
        }
        for row in ROWS
    ]


def test_a_file_of_held_out_rows_is_kept_apart(tmp_path: Path) -> None:
    train, test = write(tmp_path / "train.csv"), tmp_path / "test.jsonl"
    test.write_text("".join(json.dumps({**row, "problem": f"  {row['problem']}"}) + "\n" for row in ROWS[:3]))
    splits = load(config(train, f"test_path={test}"))
    assert len(splits.test) == 3
    assert sorted(splits.train["problem"]) == sorted(row["problem"] for row in ROWS[3:])  # not what is held out
    assert "left 3 rows out: their prompt is among the held-out ones" in splits.said
    with pytest.raises(DataError, match="every prompt of the 10 rows to train on is among the held-out ones"):
        load(config(train, f"test_path={train}"))


def test_split_off_takes_at_most_half_and_depends_on_the_seed_alone() -> None:
    rows = Dataset.from_list(ROWS)
    assert [len(part) for part in (split_off(rows, 400).train, split_off(rows, 400).test)] == [5, 5]
    assert [len(part) for part in (split_off(rows, 0).train, split_off(rows, 0).test)] == [10, 0]
    assert split_off(rows, 3, 1).test.to_list() == split_off(rows, 3, 1).test.to_list()
    assert split_off(rows, 3, 1).test.to_list() != split_off(rows, 3, 2).test.to_list()
    parts = split_off(rows, 3)
    assert sorted([*parts.train["answer"], *parts.test["answer"]]) == [row["answer"] for row in ROWS]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "does not exist"),
        ("rows.txt", "a", "is not a file that can be read"),
        ("rows.jsonl", '{"a": 1}\n{"a": ', "rows.jsonl:2 is broken: Expecting value"),
        ("rows.json", "not json", "rows.json is broken: Expecting value"),
        ("rows.parquet", "not parquet", "rows.parquet is broken"),
        ("rows.csv", "", "rows.csv is empty"),
        ("rows.csv", 'a,b\n1,2\n3,4,5,6\n"', "rows.csv:3 has 4 fields, the header 2"),
    ],
)
def test_a_file_that_is_not_rows_is_one_message(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        local.read(str(path))
    assert str(path) in str(caught.value)
    with pytest.raises(DataError, match=r"dataset\.test_path="):
        local.load(path=str(write(tmp_path / "good.csv")), test_path=str(path))


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.prompt=question: .* no such column") as caught:
        load(config(write(tmp_path / "rows.csv"), "prompt=question"))
    assert "its columns: problem, answer, level" in str(caught.value)
    with pytest.raises(DataError, match=r"dataset\.messages=talk"):
        load(config(tmp_path / "rows.csv", "messages=talk"), "sft")


def test_a_column_in_the_way_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"problem": "1 + 1?", "answer": "2", "solution": "We add.", "prompt": "old"}
    path.write_text(json.dumps(row) + "\n")
    (row,) = load(config(path)).train
    assert row["solution"] == "2" and row["prompt"] == [{"role": "user", "content": "1 + 1?"}]


def test_conversations_null_answers_and_the_system_prompt(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    asked = [{"role": "user", "content": "1 + 1?"}]
    said = {"role": "assistant", "content": "2"}
    rows: list[dict[str, Any]] = [
        {"problem": asked, "answer": "2", "talk": [*asked, said]},
        {"problem": asked, "answer": "2", "talk": None},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    system = {"role": "system", "content": "Be brief."}
    first, second = load(config(path, "messages=talk", "system_prompt=Be brief.", "test=0"), "sft").train
    assert first["prompt"] == second["prompt"] == [system, *asked]
    assert first["solution"] == second["solution"] == "2"
    assert first["messages"] == [system, *asked, said] and second["messages"] is None
    rows_for_sft = conversations(Dataset.from_list([first, second])).to_list()
    assert rows_for_sft == [{"prompt": [system, *asked], "completion": [said]}] * 2


def test_a_row_without_a_prompt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"problem": "1 + 1?", "answer": "2"}\n{"problem": null, "answer": "3"}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl:2 has no prompt \(column problem is null\)"):
        load(config(path, "test=0"))


def test_no_row_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("problem,answer\n")
    with pytest.raises(DataError):
        load(config(path))


def test_an_unreachable_hub_is_one_message() -> None:
    with pytest.raises(DataError, match=r"dataset\.repo=no-such/thing cannot be loaded"):
        hub.load(repo="no-such/thing")


def test_equal_content_has_an_equal_fingerprint(tmp_path: Path) -> None:
    prints = {fingerprint(local.read(str(write(tmp_path / f"rows{suffix}")))) for suffix in WRITERS}
    assert len(prints) == 1
    assert fingerprint(Dataset.from_list([dict(reversed(row.items())) for row in ROWS])) in prints
    assert fingerprint(Dataset.from_list(ROWS[:9])) not in prints
    assert fingerprint(Dataset.from_list(ROWS[::-1])) not in prints
    assert len(fingerprint(Dataset.from_list([{"a": "\ud800".encode("utf-8", "replace").decode()}]))) == 16


def test_the_last_users_text() -> None:
    assert last_user_text("a") == "a"
    assert last_user_text([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]) == "u"
