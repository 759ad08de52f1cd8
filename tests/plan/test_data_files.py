"""A dataset file that cannot be used is refused before the run, with the line that is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1lab.rows.look import look
from tests.command_line import CommandLine

Write = Callable[[str, str | bytes], Path]


def columns_of(path: Path) -> list[str]:
    """The columns of a file against which nothing speaks."""
    found = look(str(path))
    assert found.faults == []
    return found.columns


QUOTES = 'put quotes around a field that holds a comma: "1,000"'


@pytest.mark.parametrize(
    ("name", "content", "what", "fix"),
    [
        ("empty.jsonl", "", "empty.jsonl is empty", None),
        ("blank.jsonl", "\n \n", "blank.jsonl holds no row", None),
        (
            "x.jsonl",
            '{"problem": "1", "answer": "1"}\n\n{"problem": "2",,}\n',
            "x.jsonl:3 is broken: Expecting property name enclosed in double quotes at column 17",
            'the line reads: {"problem": "2",,}',
        ),
        ("x.jsonl", "[1, 2]\n", "x.jsonl:1 is broken: a row must be an object, not list", "the line reads: [1, 2]"),
        ("x.json", '[{"a": 1}, 2', "x.json is broken: Expecting ',' delimiter at column 13", None),
        ("x.json", '{"a": 1}', "x.json must be a list of objects, and not an empty one", None),
        ("x.json", "[]", "x.json must be a list of objects, and not an empty one", None),
        ("x.csv", "problem,answer\n1,2\n3\n", "x.csv:3 has 1 field, the header 2", QUOTES),
        ("x.csv", "problem,answer\n1,2,3\n", "x.csv:2 has 3 fields, the header 2", QUOTES),
        ("x.csv", "problem,answer\n", "x.csv holds no row", None),
        (
            "x.csv",
            b"problem,answer\n1,2\n\xe9t\xe9,2\n",
            "x.csv:3 is not UTF-8 text: invalid continuation byte",
            "iconv -f latin1 -t utf-8 x.csv",
        ),
        (
            "x.jsonl",
            b'{"problem": "1"}\n{"problem": "\xff"}\n',
            "x.jsonl:2 is not UTF-8 text: invalid start byte",
            "iconv -f latin1 -t utf-8 x.jsonl",
        ),
        ("x.txt", "problem\n", "x.txt is not a file that can be read", "one of .csv, .json, .jsonl, .parquet"),
        ("x.parquet", "PAR1", "x.parquet is broken", None),
    ],
)
def test_a_file_that_cannot_be_used(
    name: str, content: str | bytes, what: str, fix: str | None, r1lab: CommandLine, write: Write
) -> None:
    write(name, content)
    finding = r1lab.one("dataset=local", f"dataset.path={name}")
    assert finding["what"].startswith(what)
    assert finding["where"] == f"override dataset.path={name}"
    assert finding.get("fix") == fix


def test_a_file_that_is_not_there(r1lab: CommandLine, write: Write) -> None:
    write("data/problems.jsonl", '{"problem": "1", "answer": "1"}\n')
    finding = r1lab.one("dataset=local", "dataset.path=data/problem.jsonl")
    assert finding["what"] == "data/problem.jsonl does not exist"
    assert finding["nearest"] == "data/problems.jsonl"
    assert r1lab.one("dataset=local", "dataset.path=no/where.csv")["fix"].startswith("dataset.path=FILE")


def test_at_most_five_broken_lines_are_told(r1lab: CommandLine, write: Write) -> None:
    write("x.jsonl", '{"problem": "1", "answer": "1"}\n' + "{\n" * 9)
    findings = r1lab.all("dataset=local", "dataset.path=x.jsonl")
    assert [item["what"].partition(" ")[0] for item in findings] == [f"x.jsonl:{line}" for line in range(2, 7)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", '{"problem": "1", "answer": "1"}\n{"problem": "2", "answer": "2"}'),
        ("x.json", '[{"problem": "1", "answer": "1"}]'),
        ("x.csv", '\ufeffproblem,answer\n"1, 2\nand 3",6\n'),
    ],
)
def test_a_file_that_can_be_used(name: str, content: str, r1lab: CommandLine, write: Write) -> None:
    path = write(name, content)
    assert columns_of(path) == ["problem", "answer"]
    assert r1lab.accepts("dataset=local", f"dataset.path={name}").dataset.path == name
    assert r1lab.accepts("task=sft", "dataset=local", f"dataset.path={name}").dataset.path == name


def test_a_parquet_file(r1lab: CommandLine, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    write_table(pyarrow.table({"problem": ["1"], "answer": ["1"]}), tmp_path / "x.parquet")
    write_table(pyarrow.table({"problem": pyarrow.array([], "string")}), tmp_path / "none.parquet")
    assert columns_of(tmp_path / "x.parquet") == ["problem", "answer"]
    assert r1lab.one("dataset=local", "dataset.path=none.parquet")["what"] == "none.parquet holds no row"


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(max_size=4), min_size=1), min_size=1, max_size=5))
def test_columns_are_the_keys_of_all_rows(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]) -> None:
    import json

    path = tmp_path_factory.mktemp("rows") / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = columns_of(path)
    assert columns == list(dict.fromkeys(key for row in rows for key in row))
    whole = path.with_suffix(".json")
    whole.write_text(json.dumps(rows))
    assert columns_of(whole) == columns


@pytest.mark.parametrize(
    ("words", "header", "whats"),
    [
        ([], "problem,answer", []),
        ([], "problem,solution", ["dataset.answer=answer: x.csv has no such column; reward accuracy compares with it"]),
        (["dataset.answer=solution"], "problem,solution", []),
        (["reward=[format]"], "problem,solution", []),
        (["reward=[format]"], "question,gold", ["dataset.prompt=problem: x.csv has no such column"]),
        (["dataset.prompt=question", "dataset.answer=gold"], "question,gold", []),
        (
            ["dataset.answer=gold"],
            "question,gold",
            ["dataset.prompt=problem: x.csv has no such column"],
        ),
        (
            ["task=sft", "reward=[format]", "dataset.messages=messages"],
            "problem,messages",
            ["x.csv:2 has text where its conversation should be (column messages); it is a list of turns"],
        ),
        (
            ["task=sft", "reward=[format]", "dataset.messages=messages"],
            "problem,message",
            ["dataset.messages=messages: x.csv has no such column"],
        ),
        (["task=sft", "reward=[format]"], "problem,gold", ["dataset.answer=answer: x.csv has no such column"]),
    ],
)
def test_columns(words: list[str], header: str, whats: list[str], r1lab: CommandLine, write: Write) -> None:
    write("x.csv", f"{header}\n1,2\n")
    words = ["dataset=local", "dataset.path=x.csv", *words]
    if whats:
        assert [item["what"] for item in r1lab.all(*words)] == whats
    else:
        assert r1lab.accepts(*words).dataset.path == "x.csv"


def test_the_held_out_file_is_checked_as_well(r1lab: CommandLine, write: Write) -> None:
    write("x.csv", "problem,answer\n1,2\n")
    write("test.csv", "problem,gold\n1,2\n")
    finding = r1lab.one("dataset=local", "dataset.path=x.csv", "dataset.test_path=test.csv")
    assert finding["what"] == "dataset.answer=answer: test.csv has no such column; reward accuracy compares with it"
    write("test.csv", "problem,answer\n1\n")
    finding = r1lab.one("dataset=local", "dataset.path=x.csv", "dataset.test_path=test.csv")
    assert finding["where"] == "override dataset.test_path=test.csv"


def test_a_column_that_a_reward_of_the_user_reads(
    r1lab: CommandLine, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("reads_level.py", "def level(completions, levels, solution): ...\n")
    write("my_conf/reward/level.yaml", "level:\n  _target_: reads_level.level\n")
    write("x.csv", "problem,answer,level\n1,2,3\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["plugins=[reads_level]", "reward=[level]", "dataset=local", "dataset.path=x.csv"]
    finding = r1lab.one("--config-dir", "my_conf", *words)
    assert finding["what"] == "reward level reads column 'levels', which x.csv lacks"
    assert finding["where"] == "my_conf/reward/level.yaml:1"
    assert finding["nearest"] == "level"
    write("x.csv", "problem,answer,levels\n1,2,3\n")
    assert list(r1lab.accepts(*words, config_dir=tmp_path / "my_conf").reward) == ["level"]
