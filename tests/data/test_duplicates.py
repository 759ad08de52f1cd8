"""Exact and near duplicates, against sets of shingles compared pair by pair."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest

from r1lab.data import duplicates
from r1lab.data.duplicates import Duplicates, shingles, similarity

VOCABULARY = [f"w{i}" for i in range(500)]


def find(texts, threshold=0.8, n=3, batch=None):
    with TemporaryDirectory() as beside, Duplicates(Path(beside) / "scratch", threshold, n) as finder:
        for start in range(0, len(texts), batch or max(1, len(texts))):
            finder.add(pa.array(texts[start : start + (batch or len(texts))], pa.string()))
        found = list(finder.find())
        assert (Path(beside) / "scratch").is_dir()
    assert not Path(beside).exists()
    return found


def brute_force(texts, threshold, n):
    kept, found = [], {}
    for row, text in enumerate(texts):
        if not (text or "").split():
            continue
        first = next((other for other in kept if similarity(texts[other], text, n) >= threshold), None)
        if first is None:
            kept.append(row)
        else:
            found[row] = first
    return found


def test_exact_ones():
    texts = ["Find x.", "find  X.\n", "find y.", None, "", " ", "FIND Y.", "find x. "]
    found = find(texts, threshold=1)
    assert [(item.row, item.first, item.similarity) for item in found] == [(1, 0, 1.0), (6, 2, 1.0), (7, 0, 1.0)]


def test_similarity_by_hand():
    assert shingles("A b  c d", 2) == {"a b", "b c", "c d"}
    assert similarity("a b c d", "a b c e", 2) == 2 / 4
    assert similarity("a", "A", 3) == 1.0
    assert similarity("", "", 3) == 0.0


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.95])
def test_near_ones_are_those_of_brute_force(threshold):
    dice = random.Random(1)
    texts = []
    for _ in range(60):
        words = dice.choices(VOCABULARY, k=dice.randint(10, 60))
        texts.append(" ".join(words))
        for _ in range(dice.randint(0, 3)):
            changed = list(words)
            for _ in range(dice.randint(0, 3)):
                changed[dice.randrange(len(changed))] = dice.choice(VOCABULARY)
            texts.append(" ".join(changed).upper())
    dice.shuffle(texts)
    expected = brute_force(texts, threshold, 3)
    found = find(texts, threshold)
    got = {item.row: item.first for item in found}
    clear = {
        row for row, first in expected.items() if similarity(texts[row], texts[first], 3) >= min(1, threshold + 0.1)
    }
    assert clear <= got.keys()  # far from the threshold none is missed
    assert len(got.keys() & expected.keys()) >= 0.9 * len(expected)
    assert all(similarity(texts[item.row], texts[item.first], 3) == item.similarity >= threshold for item in found)
    assert got == {item.row: item.first for item in find(texts, threshold, batch=7)}


def test_short_texts():
    assert [(item.row, item.first) for item in find(["a b", "A  b", "b a", "a b c"], n=3)] == [(1, 0)]


def test_no_chain():
    """b repeats a and is dropped; c is near b, not near a, and stays."""
    a = [f"a{i}" for i in range(20)]
    b = [*a[:18], "x", "y"]
    c = [*b[2:], "z", "u"]
    texts = [" ".join(words) for words in (a, b, c)]
    threshold = similarity(texts[0], texts[1], 3)
    assert similarity(texts[1], texts[2], 3) >= threshold > similarity(texts[0], texts[2], 3)
    assert [(item.row, item.first) for item in find(texts, threshold)] == [(1, 0)]


@pytest.mark.parametrize("threshold", [0.8, 1.0])
def test_nothing_to_look_at(threshold):
    assert find([], threshold) == []
    assert find([None, "", " "], threshold) == []


def test_texts_beyond_ascii_and_long_words():
    long = "https://example.org/" + "x" * 200
    texts = [
        "Die STRASSE é",
        "die strasse É",
        "数学题目" * 40,
        "数学题目" * 40,
        "数学题目" * 39 + "数学题日",
        f"{long}1",
        f"{long}2",
    ]
    assert [(item.row, item.first) for item in find(texts, 1)] == [(1, 0), (3, 2)]


def test_a_phrase_that_all_share_hides_no_duplicate(monkeypatch):
    """Rows of one group that are no duplicates of each other; each is then repeated."""
    monkeypatch.setattr(duplicates, "MOST", 2)
    texts = [
        f"{'the same long beginning of all of them ' * 2} {' '.join(f'{k}{i}' for i in range(9))}" for k in "abcdef"
    ]
    found = find([*texts, *texts], 0.9)
    assert [(item.row, item.first) for item in found] == [(6 + i, i) for i in range(6)]


@pytest.mark.parametrize(("threshold", "n"), [(0, 3), (1.5, 3), (0.8, 0)])
def test_what_is_no_threshold_and_no_shingle(threshold, n, tmp_path):
    with pytest.raises(ValueError, match=r"threshold=|n=0"):
        Duplicates(tmp_path / "scratch", threshold, n)
