"""Which texts share n words in a row with which documents: the measure of contamination.

Words are what white space separates, in lower case, as in s1 (Muennighoff et al. 2025, arXiv 2501.19393, appendix C).
Words and their n-grams are hashed by array arithmetic over the bytes of many texts at once; what looks like a match is
then compared word for word, so that a flag is never a collision. A text of fewer than n words matches a document that
is the same as a whole.

    polynomial hash of bytes b_i … b_j:  Σ (b_k + 1) · P^(k−i)  mod 2⁶⁴, from prefix sums and the inverse of P
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

CHUNK = 1 << 18  # bytes whose arrays fit a core's cache
TABLE_BITS = 23  # of the first, coarse look: one byte for each value of so many bits
P, Q = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F  # odd, so that they have inverses mod 2⁶⁴
SPACES = "[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"  # beyond ASCII, as str.split takes them
ASCII_SPACES = (9, 10, 11, 12, 13, 28, 29, 30, 31, 32)

Words = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Match:
    """The first shared words of a text and a document.

    Attributes:
        row: the text's place.
        source: the name of the document's data set.
        document: its place there.
        span: the shared words, in lower case, single spaces between them.
    """

    row: int
    source: str
    document: int
    span: str


class Overlap:
    """Documents to compare texts with.

    Args:
        sources: name → documents.
        n: words in a row that make a match.
    """

    def __init__(self, sources: Mapping[str, Sequence[str]], n: int = 8):
        if n < 1:
            raise ValueError(f"n={n}: an n-gram has at least one word")
        self.n = n
        self.grams: dict[str, dict[str, int]] = {}  # words → source → the first document that has them
        self.short: dict[str, dict[str, int]] = {}  # whole documents of fewer words
        for source, documents in sources.items():
            for place, document in enumerate(documents):
                words = document.lower().split()
                if len(words) < n:
                    if words:
                        self.short.setdefault(" ".join(words), {}).setdefault(source, place)
                    continue
                for start in range(len(words) - n + 1):
                    self.grams.setdefault(" ".join(words[start : start + n]), {}).setdefault(source, place)
        every = pa.array([document for documents in sources.values() for document in documents], pa.string())
        hashes = [grams_of(*words_of(part)[:2], n)[0] for part in parts_of(every)]
        self.hashes = np.unique(np.concatenate(hashes)) if hashes else np.empty(0, np.uint64)
        self.table = np.zeros(1 << TABLE_BITS, bool)
        self.table[self.hashes >> np.uint64(64 - TABLE_BITS)] = True

    def find(self, texts: pa.Array | pa.ChunkedArray | Sequence[str | None]) -> list[Match]:
        """The first match of each text with each source, by row.

        Args:
            texts: (R,) strings; None matches nothing.
        """
        array = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.string())
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
        found: list[Match] = []
        start = 0
        for part in parts_of(array):
            found += self._find(part, start)
            start += len(part)
        return found

    def _find(self, part: pa.Array, first: int) -> list[Match]:
        words, rows, counts = words_of(part)
        grams, places = grams_of(words, rows, self.n)
        likely = np.flatnonzero(self.table[grams >> np.uint64(64 - TABLE_BITS)])
        if len(likely) and len(self.hashes):
            near = np.searchsorted(self.hashes, grams[likely])
            near[near == len(self.hashes)] = 0
            likely = likely[self.hashes[near] == grams[likely]]
        candidates = np.unique(rows[places[likely]]) if len(likely) else np.empty(0, np.int64)
        if self.short:
            candidates = np.union1d(candidates, np.flatnonzero((counts > 0) & (counts < self.n)))
        return [match for row in candidates.tolist() for match in self._compare(part[row].as_py(), first + row)]

    def _compare(self, text: str, row: int) -> Iterator[Match]:
        """The matches of one text, word for word."""
        words = text.lower().split()
        seen: set[str] = set()
        if len(words) < self.n:
            whole = " ".join(words)
            for source, document in self.short.get(whole, {}).items():
                yield Match(row, source, document, whole)
            return
        for start in range(len(words) - self.n + 1):
            span = " ".join(words[start : start + self.n])
            for source, document in self.grams.get(span, {}).items():
                if source not in seen:
                    seen.add(source)
                    yield Match(row, source, document, span)


def parts_of(array: pa.Array) -> Iterator[pa.Array]:
    """Slices of about `CHUNK` bytes, and at least one text."""
    start = 0
    offsets = np.concatenate([[0], np.cumsum(pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False))])
    while start < len(array):
        end = int(np.searchsorted(offsets, offsets[start] + CHUNK, side="left"))
        end = min(max(end, start + 1), len(array))
        yield array.slice(start, end - start)
        start = end


def words_of(texts: pa.Array) -> tuple[Words, Places, Places]:
    """Hashes of the words of texts in a row, the text that each is of, and how many each text has."""
    lower = pc.utf8_lower(pc.fill_null(texts.cast(pa.string()), ""))
    if not pc.all(pc.string_is_ascii(lower), min_count=0).as_py():
        lower = pc.replace_substring_regex(lower, SPACES, " ")
    joined = pc.binary_join_element_wise(lower, "", " ")  # a space behind each text
    offsets = np.frombuffer(joined.buffers()[1], np.int32)[joined.offset : joined.offset + len(joined) + 1]
    raw = np.frombuffer(joined.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    space = IS_SPACE[raw]
    change = np.flatnonzero(np.concatenate([[True], space[:-1]]) != space)  # words begin and end in turn
    begins, ends = change[0::2], change[1::2]
    powers, inverses = _powers(len(raw) + 1)
    sums = np.empty(len(raw) + 1, np.uint64)
    sums[0] = 0
    np.cumsum((raw.astype(np.uint64) + np.uint64(1)) * powers[: len(raw)], out=sums[1:])
    hashes = (sums[ends] - sums[begins]) * inverses[begins]
    hashes ^= hashes >> np.uint64(29)
    hashes *= np.uint64(Q)
    counts = np.diff(np.searchsorted(begins, offsets))
    return hashes, np.repeat(np.arange(len(counts)), counts), counts


def grams_of(words: Words, rows: Places, n: int) -> tuple[Words, Places]:
    """Hashes of all n words in a row of the same text, and the place of the first of them."""
    if len(words) < n:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    last = len(words) - n + 1
    grams = words[:last].copy()
    for k in range(1, n):
        grams *= np.uint64(P)
        grams += words[k : last + k]
    grams ^= grams >> np.uint64(31)
    grams *= np.uint64(Q)
    places = np.flatnonzero(rows[:last] == rows[n - 1 :])
    return grams[places], places


IS_SPACE = np.zeros(256, bool)
IS_SPACE[list(ASCII_SPACES)] = True
_cached: list[NDArray[np.uint64]] = []


def _powers(length: int) -> tuple[Words, Words]:
    """Powers of P and of its inverse mod 2⁶⁴, at least `length` of each."""
    if not _cached or len(_cached[0]) < length:
        size = max(length, CHUNK + (CHUNK >> 1))
        both = []
        for base in (P, pow(P, -1, 1 << 64)):
            table = np.full(size, base, np.uint64)
            table[0] = 1
            both.append(np.multiply.accumulate(table))
        _cached[:] = both
    return _cached[0], _cached[1]
