"""Shared n-grams, against sets of words counted one by one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1lab.data import overlap
from r1lab.data.overlap import Match, Overlap

WORDS = st.sampled_from(["a", "B", "b", "cc", "ß", "É", "é", "1", "\u200b", "日本", "x" * 40])
GAPS = st.sampled_from([" ", "  ", "\n", "\t", "\u00a0", "\u3000", "\x1c", "\r\n", "\u2003 "])
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=12).map(lambda pairs: "".join(word + gap for word, gap in pairs))


def brute_force(sources, texts, n):
    """Every (row, source) that shares n words in a row, or is the same short text."""
    found = set()
    for row, text in enumerate(texts):
        words = (text or "").lower().split()
        grams = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
        for source, documents in sources.items():
            for document in documents:
                other = document.lower().split()
                others = {tuple(other[i : i + n]) for i in range(len(other) - n + 1)}
                if grams & others or (0 < len(words) < n and words == other):
                    found.add((row, source))
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=8), st.lists(TEXTS, max_size=6), st.integers(1, 4))
def test_the_same_as_brute_force(texts, documents, n):
    sources = {"first": documents[::2], "second": documents[1::2]}
    matches = Overlap(sources, n).find(texts)
    assert {(match.row, match.source) for match in matches} == brute_force(sources, texts, n)
    assert len({(match.row, match.source) for match in matches}) == len(matches)
    for match in matches:
        words = match.span.split()
        assert len(words) == n or texts[match.row].lower().split() == words
        assert match.span in " ".join(texts[match.row].lower().split())
        assert match.span in " ".join(sources[match.source][match.document].lower().split())


def test_the_first_span_and_the_first_document_are_told():
    sources = {"aime": ["zero", "one two three four"], "gpqa": ["three four five"]}
    found = Overlap(sources, 2).find(["nothing here", "ONE  two Three four", "x three\nfour"])
    assert found == [
        Match(1, "aime", 1, "one two"),
        Match(1, "gpqa", 0, "three four"),
        Match(2, "aime", 1, "three four"),
        Match(2, "gpqa", 0, "three four"),
    ]


def test_short_texts_are_compared_whole():
    sources = {"aime": ["Find x .", "a b c d e f g h i"]}
    texts = ["find X .", "find x", "please find x . now and then and again", "a b c d", "", None]
    assert Overlap(sources, 8).find(texts) == [Match(0, "aime", 0, "find x .")]


def test_words_that_differ_in_their_last_nul_are_two() -> None:
    """They would share a hash else, of which a source's first is kept: the other could never be found."""
    overlap = Overlap({"exam": ["a b", "a b\0", "a b\0\0"]}, 2)
    texts = ["x a b", "x a b\0", "x a b\0\0 y"]
    assert [(match.row, match.document) for match in overlap.find(texts)] == [(0, 0), (1, 1), (2, 2)]


def test_words_do_not_join_across_texts():
    assert Overlap({"s": ["a b"]}, 2).find(["a", "b", "x a", "b y"]) == []


def test_parts_and_slices_of_an_array(monkeypatch):
    monkeypatch.setattr(overlap, "CHUNK", 10)
    texts = ["a b c"] * 50 + ["x y z w" * 30] + [None, "", "a b"]
    whole = [match.row for match in Overlap({"s": ["b c"]}, 2).find(texts)]
    assert whole == list(range(50))
    array = pa.chunked_array([pa.array(texts[:7]), pa.array(texts[7:])]).slice(3)
    assert [match.row for match in Overlap({"s": ["b c"]}, 2).find(array)] == list(range(47))


def test_one_very_long_text():
    long = "word " * 400_000
    found = Overlap({"s": ["one two three"]}, 3).find([long + "one two three " + long, long])
    assert [match.row for match in found] == [0]


def test_a_collision_of_hashes_is_no_match(monkeypatch):
    def everything_alike(words, rows, n):
        grams, places = real(words, rows, n)
        return grams * 0, places

    real = overlap.grams_of
    monkeypatch.setattr(overlap, "grams_of", everything_alike)
    found = Overlap({"s": ["a b c"]}, 2).find(["x y z", "q a b"])
    assert [match.row for match in found] == [1]


def test_nothing_to_compare_with():
    assert Overlap({}).find(["a b c d e f g h i"]) == []
    assert Overlap({"s": [""]}).find(["", "a"]) == []
    assert Overlap({"s": ["a b"]}).find([]) == []
    with pytest.raises(ValueError, match="at least one word"):
        Overlap({}, 0)
