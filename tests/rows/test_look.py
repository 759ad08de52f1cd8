"""What a look finds is what the loader reads: the same rows, or the same message with file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow.parquet import write_table

from r1lab.data import local
from r1lab.errors import DataError
from r1lab.rows.look import look
from r1lab.rows.roles import CONVERSATIONS, PROMPTS, Roles

ASKED = Roles("problem", "answer", use=PROMPTS)
GOOD = '{"problem": "1 + 1?", "answer": "2"}\n'


def whats(path: Path | str, roles: Roles = ASKED) -> list[str]:
    """What a look finds wrong, and that the loader says the same."""
    found = [fault.what for fault in look(str(path), roles).faults]
    if found:
        with pytest.raises(DataError) as caught:
            local.read(str(path), roles)
        assert [line for line in str(caught.value).splitlines() if not line.startswith("    ")] == found
    return found


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str | bytes], Path]:
    """Writes a file below the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, content: str | bytes) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


Put = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"problem": null, "answer": "2"}', "x.jsonl:2 has no prompt (column problem is null)"),
        ('{"answer": "2"}', "x.jsonl:2 has no prompt (column problem is null)"),
        ('{"problem": " ", "answer": "2"}', "x.jsonl:2 has an empty prompt (column problem)"),
        (
            '{"problem": "a", "answer": ["2"]}',
            "x.jsonl:2 has a list in column answer, which holds text since x.jsonl:1",
        ),
        ('{"problem": "a", "problem": "b"}', "x.jsonl:2 is broken: the key 'problem' stands twice"),
        ('{"problem": "a", "n": {"k": 1, "k": 2}}', "x.jsonl:2 is broken: the key 'k' stands twice"),
        (
            '{"problem": 5, "answer": "2"}',
            "x.jsonl:2 has a whole number in column problem, which holds text since x.jsonl:1",
        ),
        ('{"problem": "\\ud800", "answer": "2"}', "x.jsonl:2 is broken: half of a character"),
        (
            '{"problem": "a", "n": 9223372036854775808}',
            "x.jsonl:2 has a whole number beyond 64 bits (put it in quotes)",
        ),
        ('{"problem": "a", "n": [1, "b"]}', "x.jsonl:2 has text in column n and a whole number"),
        ('{"n": ' + "1" * 5000 + "}", "x.jsonl:2 is broken: a whole number of thousands of digits (put it in quotes)"),
        ('{"n": ' + "[" * 70 + "]" * 70 + "}", "x.jsonl:2 has lists or objects more than 64 deep in column n"),
        ('{"n": ' + "[" * 9000 + "]" * 9000 + "}", "x.jsonl:2 is broken: nested too deeply"),
        ('"problem"', "x.jsonl:2 is broken: a row must be an object, not str"),
    ],
)
def test_a_bad_row_of_json_lines_is_told_with_its_line(line: str, what: str, put: Put) -> None:
    (found,) = whats(put("x.jsonl", GOOD + line + "\n"))
    assert found.startswith(what)


def test_a_byte_order_mark_is_no_part_of_the_first_row(put: Put) -> None:
    for name, content in (("x.jsonl", GOOD), ("x.json", f"[{GOOD}]"), ("x.csv", "problem,answer\n1 + 1?,2\n")):
        path = put(name, b"\xef\xbb\xbf" + content.encode())
        assert whats(path) == []
        assert local.read(str(path), ASKED)["problem"] == ["1 + 1?"]


def test_json_lines_under_the_name_of_json_are_read(put: Put) -> None:
    path = put("x.json", GOOD + GOOD)
    assert whats(path) == [] and len(local.read(str(path))) == 2


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.parquet", "some"])
def test_an_empty_file_is_one_message(name: str, put: Put) -> None:
    put(name, "") if "." in name else Path(name).mkdir()
    (found,) = whats(name)
    assert found.startswith(name)


def test_text_that_looks_like_something_else_stays_text(put: Put) -> None:
    put("x.csv", "problem,answer,id,when,score,flag,gap\n12,007,1,2024-01-02,0.5,True,\nNA,1e3,2,nan,1.25,False,x\n")
    rows = local.read("x.csv", ASKED)
    assert rows.to_list() == [
        {"problem": "12", "answer": "007", "id": 1, "when": "2024-01-02", "score": 0.5, "flag": True, "gap": None},
        {"problem": "NA", "answer": "1e3", "id": 2, "when": "nan", "score": 1.25, "flag": False, "gap": "x"},
    ]
    put("digits.csv", f"problem,answer\na,{'1' * 5000}\n")
    assert local.read("digits.csv", ASKED)["answer"] == ["1" * 5000]
    put("x.jsonl", '{"problem": "2024-01-02T00:00:00", "answer": 7}\n{"problem": "b", "answer": "07"}\n')
    assert local.read("x.jsonl", ASKED).to_list() == [
        {"problem": "2024-01-02T00:00:00", "answer": "7"},
        {"problem": "b", "answer": "07"},
    ]


@given(
    cells=st.lists(st.lists(st.text("0123456789.-+e_ aT", min_size=1, max_size=5), min_size=2, max_size=2), min_size=1)
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_csv_column_can_be_written_again_as_it_stood(
    cells: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *cells])
    read = local.read(str(path), Roles(answer="a"))
    assert [str(row["a"]) for row in read] == [cell for cell, _ in cells]
    numbers = [isinstance(row["b"], float) for row in read]  # 1 beside 0.5 is 1.0, but only where no text is lost
    assert [float(cell) if numbers[0] else cell for _, cell in cells] == [
        row["b"] if numbers[0] else str(row["b"]) for row in read
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("kl"), inner, min_size=1, max_size=2),
    max_leaves=4,
)


@given(rows=st.lists(st.dictionaries(st.sampled_from("ab"), VALUES, min_size=1), min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_what_a_look_accepts_the_loader_reads(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = look(str(path))
    if found.faults:
        with pytest.raises(DataError):
            local.read(str(path))
        return
    read = local.read(str(path)).to_list()
    assert [list(row) for row in read] == [found.columns] * len(rows)
    for before, after in zip(rows, read, strict=True):
        assert filled(after) == filled(before)


def filled(value: Any) -> Any:
    """A value without the nulls that stand for what was not there."""
    if isinstance(value, dict):
        return {key: filled(item) for key, item in value.items() if item is not None}
    return [filled(item) for item in value] if isinstance(value, list) else value


def test_one_row_of_five_megabytes(put: Put) -> None:
    text = "word " * 1_000_000
    put("x.jsonl", json.dumps({"problem": text, "answer": "1"}) + "\n")
    put("x.csv", f'problem,answer\n"{text}",1\n')
    for name in ("x.jsonl", "x.csv"):
        assert whats(name) == []
        assert local.read(name, ASKED)["problem"] == [text]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("a,a\n1,2\n", "x.csv:1 names the column 'a' twice"),
        ('problem,answer\n"1,2\n', "x.csv:2 is broken: unexpected end of data"),
        ("problem,answer\nb,\n,1\n", "x.csv:3 has no prompt (column problem is null)"),
    ],
)
def test_a_csv_file_that_cannot_be_used(content: str, what: str, put: Put) -> None:
    assert whats(put("x.csv", content)) == [what]


def test_a_saved_index_of_a_csv_file_has_a_name(put: Put) -> None:
    assert local.read(str(put("x.csv", ",problem\n0,a\n"))).to_list() == [{"column 1": 0, "problem": "a"}]


def shards(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Dataset.from_list([{"problem": "a", "answer": "1"}]).to_parquet(folder / "1.parquet")
    Dataset.from_list([{"problem": "b", "answer": "2"}]).to_parquet(folder / "2.parquet")


@pytest.mark.parametrize("path", ["shards", "shards/*.parquet", "s*/[12].parquet", "**/*.parquet", "../here/shards"])
def test_many_files(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    shards(Path("shards"))
    assert whats(path) == []
    assert local.read(path, ASKED).to_list() == [{"problem": "a", "answer": "1"}, {"problem": "b", "answer": "2"}]


def test_files_that_are_no_shards_of_one_dataset(put: Put) -> None:
    put("mixed/a.jsonl", GOOD)
    put("mixed/b.csv", "problem,answer\n1,2\n")
    assert whats("mixed") == ["mixed holds files of several formats: .csv, .jsonl"]
    put("apart/a.csv", "problem,answer\n1,2\n")
    put("apart/b.csv", "problem,gold\n1,2\n")
    assert whats("apart") == ["apart/b.csv has other columns than apart/a.csv: it lacks answer and has gold besides"]
    shards(Path("parts"))
    write_table(pa.table({"problem": ["c"]}), "parts/3.parquet")
    assert whats("parts") == ["parts/3.parquet has other columns than parts/1.parquet: it lacks answer"]
    assert whats("none/*.jsonl") == ["none/*.jsonl matches no file"]
    put("lines/a.jsonl", GOOD)
    put("lines/b.jsonl", '{"problem": "b", "answer": {"x": 1}}\n')
    assert whats("lines") == ["lines/b.jsonl:1 has an object in column answer, which holds text since lines/a.jsonl:1"]


def test_what_datasets_saved(put: Put) -> None:
    put("keep", "")
    rows = Dataset.from_list([{"problem": "a", "answer": "1"}, {"problem": "b", "answer": "2"}])
    rows.save_to_disk("saved", num_shards=2)
    DatasetDict(train=rows, test=rows.select([0])).save_to_disk("both")
    assert whats("saved") == [] and local.read("saved").to_list() == rows.to_list()
    assert local.read("both").to_list() == rows.to_list()
    assert len(local.read("both", split="test")) == 1
    splits = local.load(path="both", test_path="both", prompt="problem")
    assert (splits.train.to_list(), splits.test.to_list()) == ([rows[1]], [rows[0]])
    (fault,) = look("both", split="tset").faults
    assert (fault.what, fault.nearest) == ("both has no split 'tset'", "dataset.split=test")
    Path("saved/data-00001-of-00002.arrow").unlink()
    assert whats("saved") == ["saved/data-00001-of-00002.arrow is missing from the saved dataset saved"]
    Dataset.from_list([{"problem": "a"}, {"problem": None}]).save_to_disk("nulls")
    found = whats("nulls")
    assert found == ["nulls/data-00000-of-00001.arrow, row 2, has no prompt (column problem is null)"]


def test_parquet_rows_are_held_to_their_use(put: Put) -> None:
    put("keep", "")
    write_table(pa.table({"problem": ["a", "b"], "answer": [1, None]}), "x.parquet")
    assert whats("x.parquet") == []
    write_table(pa.table({"problem": ["a", None], "answer": ["1", "2"]}), "x.parquet")
    assert whats("x.parquet") == ["x.parquet, row 2, has no prompt (column problem is null)"]
    assert look("x.parquet", ASKED, most=1).faults == []  # the planner looks at the beginning only
    write_table(pa.table({"problem": [1, 2]}), "x.parquet")
    assert whats("x.parquet")[0] == "x.parquet, row 1, has a number where its prompt should be (column problem), " + (
        "not text or a conversation"
    )


TALK = Roles(messages="talk", use=CONVERSATIONS)


@pytest.mark.parametrize(
    ("turns", "what"),
    [
        (None, "has no conversation (column talk is null)"),
        ([], "has an empty conversation (column talk)"),
        ([{"role": "user", "content": "a"}], "has a conversation without an assistant's turn (column talk)"),
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}],
            "has an empty completion: an assistant's turn without text (column talk)",
        ),
        (
            [{"role": "human", "content": "a"}],
            "has a turn of the unknown role 'human' (column talk, turn 1): system, developer, user, assistant, tool",
        ),
        (
            [{"from": "human", "value": "a"}],
            "has a turn of from, value where role and content should be (column talk, turn 1)",
        ),
        ([{"role": "user", "content": 5}], "has a number for a turn's content (column talk, turn 1)"),
        (["a"], "has a turn of text where role and content should be (column talk, turn 1)"),
        ("a", "has text where its conversation should be (column talk); it is a list of turns"),
    ],
)
def test_a_conversation_that_cannot_be_trained_on(turns: Any, what: str, put: Put) -> None:
    assert whats(put("x.jsonl", json.dumps({"talk": turns}) + "\n"), TALK) == [f"x.jsonl:1 {what}"]


def test_at_most_five_rows_are_told_and_a_missing_column_is_not_a_fault_of_every_row(put: Put) -> None:
    put("x.jsonl", '{"problem": null, "answer": "1"}\n' * 9)
    assert len(whats("x.jsonl")) == 5
    put("x.jsonl", '{"question": "a"}\n' * 9)
    assert whats("x.jsonl") == []
    assert look("x.jsonl", ASKED).columns == ["question"]


def test_the_cache_is_not_taken_for_a_file_that_changed(put: Put) -> None:
    put("x.jsonl", GOOD)
    assert local.read("x.jsonl")["answer"] == ["2"]
    put("x.jsonl", GOOD.replace("2", "3"))
    assert local.read("x.jsonl")["answer"] == ["3"]
