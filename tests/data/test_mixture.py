"""A mixture keeps the shares it is asked for, once each, in an order that depends on the seed alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from r1lab.data import mixture
from r1lab.errors import DataError
from r1lab.rows.mixture import settings_of, shipped


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three sources of 17, 40 and 3 rows: a file, a folder laid out like a repository, a folder that was saved."""
    folder = tmp_path_factory.mktemp("sources")
    rows = [[{"problem": f"{name}{n}", "answer": str(n)} for n in range(size)] for name, size in SIZES.items()]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[0]))
    (folder / "b").mkdir()
    Dataset.from_list(rows[1]).to_parquet(folder / "b/train-0.parquet")
    Dataset.from_list(rows[2]).save_to_disk(folder / "c")
    return [str(folder / "a.jsonl"), str(folder / "b"), str(folder / "c")]


SIZES = {"a": 17, "b": 40, "c": 3}
KINDS = ("path", "id", "path")


@given(weights=st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3), seed=st.integers(0, 5), test=st.integers(0, 40))
@settings(deadline=None, max_examples=25)
def test_shares_are_kept_once_each_and_the_same_again(
    weights: list[float], seed: int, test: int, sources: list[str]
) -> None:
    entries = [{kind: path, "weight": w} for kind, path, w in zip(KINDS, sources, weights, strict=True)]
    parts = mixture.load(datasets=entries, seed=seed, test=test, prompt="problem")
    problems = [*parts.train["problem"], *parts.test["problem"]]
    assert len(problems) == len(set(problems))
    counts = {name: sum(text[0] == name for text in problems) for name in SIZES}
    assert counts == {name: round(w * SIZES[name]) for name, w in zip(SIZES, weights, strict=True)}
    assert len(parts.test) == min(test, len(problems) // 2)
    for number, (name, size) in enumerate(SIZES.items()):
        assert f"{sources[number]}: {counts[name]} of {size} rows (weight {weights[number]:g})" == parts.said[number]
    again = mixture.load(datasets=entries, seed=seed, test=test, prompt="problem")
    assert [*again.train["problem"], *again.test["problem"]] == problems


def test_another_seed_keeps_other_rows_in_another_order(sources: list[str]) -> None:
    entries = [{"path": sources[0]}, {"id": sources[1], "weight": 0.5}]
    first, second = (mixture.load(datasets=entries, seed=seed, test=0).train["problem"] for seed in (0, 1))
    assert set(first) != set(second)
    assert [text for text in first if text[0] == "a"] != sorted(text for text in first if text[0] == "a")
    assert [text[0] for text in first] != sorted(text[0] for text in first)  # mixed, not one after the other


def test_columns_are_kept_and_renamed(sources: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("question,gold,level\nx0,007,1\n")
    entries: list[dict[str, Any]] = [
        {"path": sources[2], "columns": ["answer", "problem"]},
        {"path": str(tmp_path / "x.csv"), "columns": {"problem": "question", "answer": "gold"}},
    ]
    rows = mixture.load(datasets=entries, test=0, prompt="problem", answer="answer").train
    assert {row["problem"]: row["answer"] for row in rows} == {"c0": "0", "c1": "1", "c2": "2", "x0": "007"}


def test_answers_that_are_numbers_here_and_text_there_become_text(tmp_path: Path) -> None:
    for name, answer in (("a", 1), ("b", "x"), ("c", None)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"problem": name, "answer": answer}) + "\n")
    entries = [{"path": str(tmp_path / f"{name}.jsonl")} for name in "abc"]
    rows = mixture.load(datasets=entries, test=0, prompt="problem", answer="answer").train
    assert sorted((row["problem"], row["answer"]) for row in rows) == [("a", "1"), ("b", "x"), ("c", None)]
    with pytest.raises(DataError, match=r"datasets\[1\] \(.*b\.jsonl\) holds string in column answer, .* int64"):
        mixture.load(datasets=entries, test=0, prompt="problem")


def test_a_shipped_dataset_by_its_name(sources: list[str]) -> None:
    entries = [{"name": "arithmetic", "weight": 0.001}, {"path": sources[2]}]
    rows = mixture.load(datasets=entries, test=0, prompt="problem", answer="answer").train
    assert sorted(rows.column_names) == ["answer", "problem"]
    assert len(rows) == 8 + 3
    sums = [row for row in rows if row["problem"].startswith("What is")]
    assert all(eval(row["problem"][8:-1]) == int(row["answer"]) for row in sums) and len(sums) == 8
    assert settings_of("arithmetic", 7)["seed"] == 7
    assert {"arithmetic", "openr1-math-220k"} <= set(shipped()) and not {"mixture", "hub", "local"} & set(shipped())


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "dataset.datasets is empty"),
        (
            [{"path": "c", "columns": ["problem"]}, {"path": "c"}],
            r"\[1\] \(.*c\) has other columns .* it has answer bes",
        ),
        ([{"path": "c", "columns": ["problem", "level"]}], r"\[0\] \(.*c\) has no column 'level'"),
        ([{"path": "c", "weight": 0}], r"\[0\]\.weight=0 is not the share of a dataset's rows to keep"),
        ([{"path": "c", "wieght": 1}], r"\[0\]\.wieght is not a field of a mixture's entry"),
        ([{"path": "c", "id": "x/y"}], r"\[0\] names id and path"),
        ([{"weight": 0.5}], r"\[0\] names no dataset"),
        ([{"name": "arithmatic"}], r"\[0\]: there is no dataset 'arithmatic'\n    nearest  arithmetic"),
        (
            [{"id": "no-such/thing"}],
            r"dataset\.datasets\[0\]\.id=no-such/thing cannot be loaded: HF_HUB_OFFLINE is set",
        ),
        ([{"path": "c", "columns": {"a": "problem", "b": "problem"}}], r"\[0\]\.columns takes 'problem' twice"),
        (["c"], r"\[0\] takes a mapping, not 'c'"),
    ],
)
def test_an_entry_that_does_not_fit_is_named(entries: list[Any], message: str, sources: list[str]) -> None:
    for entry in entries:
        if isinstance(entry, dict) and entry.get("path") == "c":
            entry["path"] = sources[2]
    with pytest.raises(DataError, match=message):
        mixture.load(datasets=entries, test=0, prompt="problem")
