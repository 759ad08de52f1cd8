"""Rows that say the same: exactly, or nearly.

Exact: equal once case and white space are made even. Near: the Jaccard similarity of their sets of n-word shingles is
at or above a threshold; candidates come from MinHash signatures in bands (Broder 1997; Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, section 3.4), and each is then measured on the texts themselves, so that what is reported is
the true similarity. With b bands of r hashes a pair of similarity s is found with probability 1 − (1 − sʳ)ᵇ: for the
default 20 × 5 that is 99.97 % at 0.8 and 47 % at 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from r1lab.data.overlap import grams_of, parts_of, words_of

BANDS, ROWS = 20, 5
SEED = 7
Text = Callable[[int], str | None]


@dataclass(frozen=True)
class Duplicate:
    """A row and the earlier one that it repeats.

    Attributes:
        row: its place.
        first: the place of the earliest row that it repeats.
        similarity: Jaccard similarity of their shingles, 1 where they are the same.
    """

    row: int
    first: int
    similarity: float


def shingles(text: str, n: int) -> frozenset[str]:
    """The sets of n words in a row; the whole text where it has fewer."""
    words = text.lower().split()
    if len(words) < n:
        return frozenset([" ".join(words)] if words else [])
    return frozenset(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))


def similarity(one: str, other: str, n: int) -> float:
    """The Jaccard similarity of two texts' shingles; 0 where one has none."""
    first, second = shingles(one, n), shingles(other, n)
    return len(first & second) / len(first | second) if first and second else 0.0


class Duplicates:
    """Looks for duplicates in rows that come batch by batch; memory grows by some 200 bytes a row, not by its text.

    Args:
        text: gives the text of any row seen so far.
        threshold: similarity from which on a row is a duplicate; 1 for exact ones alone.
        n: words in a shingle.
    """

    def __init__(self, text: Text, threshold: float = 0.8, n: int = 5):
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold={threshold}: a similarity is above 0 and at most 1")
        self.text, self.threshold, self.n = text, threshold, n
        self.exact: dict[int, int] = {}  # hash of all words → first row
        self.bands: list[dict[int, int]] = [{} for _ in range(BANDS)]  # hash of a band → first row
        self.count = 0
        dice = np.random.default_rng(SEED)
        self.factors = dice.integers(1, 2**64, BANDS * ROWS, np.uint64) | np.uint64(1)
        self.offsets = dice.integers(0, 2**64, BANDS * ROWS, np.uint64)

    def add(self, texts: pa.Array) -> Iterator[Duplicate]:
        """The duplicates among the next rows, of any row before them; a row without a word is none.

        Only rows that are kept are compared with: a chain of small changes does not lead from one text to another.
        """
        for part in parts_of(texts):
            yield from self._add(part)

    def _add(self, part: pa.Array) -> Iterator[Duplicate]:
        words, rows, counts = words_of(part)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        near = self.threshold < 1
        signatures = self._signatures(words, rows, counts, starts) if near else None
        for place in range(len(part)):
            row = self.count + place
            if counts[place] == 0:
                continue
            own = words[starts[place] : starts[place] + counts[place]]
            whole = hash(own.tobytes())
            found = self._exact(whole, row)
            if found is None and signatures is not None:
                found = self._near(signatures[place], row)
            if found is None:
                self.exact.setdefault(whole, row)
                if signatures is not None:
                    for band, value in zip(self.bands, signatures[place].tolist(), strict=True):
                        band.setdefault(value, row)
            else:
                yield found
        self.count += len(part)

    def _exact(self, whole: int, row: int) -> Duplicate | None:
        first = self.exact.get(whole)
        if first is None or even(self.text(first)) != even(self.text(row)):
            return None
        return Duplicate(row, first, 1.0)

    def _near(self, bands: NDArray[np.uint64], row: int) -> Duplicate | None:
        """The earliest kept row that is similar enough."""
        text = self.text(row) or ""
        candidates = {table[value] for table, value in zip(self.bands, bands.tolist(), strict=True) if value in table}
        for first in sorted(candidates):
            measured = similarity(self.text(first) or "", text, self.n)
            if measured >= self.threshold:
                return Duplicate(row, first, measured)
        return None

    def _signatures(
        self, words: NDArray[np.uint64], rows: NDArray[np.int64], counts: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> NDArray[np.uint64]:
        """(R, BANDS): a hash of each band of a row's MinHash signature."""
        n = self.n
        grams, places = grams_of(words, rows, n)
        owners = rows[places] if len(places) else np.empty(0, np.int64)
        short = np.flatnonzero((counts > 0) & (counts < n))
        whole = np.array([np.bitwise_xor.reduce(words[starts[i] : starts[i] + counts[i]]) for i in short], np.uint64)
        grams, owners = np.concatenate([grams, whole]), np.concatenate([owners, short])
        order = np.argsort(owners, kind="stable")
        grams, owners = grams[order], owners[order]
        result = np.zeros((len(counts), BANDS), np.uint64)
        if not len(grams):
            return result
        begins = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
        least = np.empty((BANDS * ROWS, len(begins)), np.uint64)
        for k in range(BANDS * ROWS):
            mixed = grams * self.factors[k] + self.offsets[k]
            mixed ^= mixed >> np.uint64(33)
            least[k] = np.minimum.reduceat(mixed, begins)
        bands = least.reshape(BANDS, ROWS, -1)
        combined = bands[:, 0].copy()
        for r in range(1, ROWS):
            combined = combined * np.uint64(0x9E3779B97F4A7C15) + bands[:, r]
        result[owners[begins]] = combined.T
        return result


def even(text: str | None) -> str:
    """A text in lower case with single spaces between its words."""
    return " ".join((text or "").lower().split())
