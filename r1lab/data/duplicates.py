"""Rows that say the same: exactly, or nearly.

Exact: equal once case and white space are made even. Near: the Jaccard similarity of their sets of n-word shingles is
at or above a threshold; candidates come from MinHash signatures in bands (Broder 1997; Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, section 3.4), and each is then measured on the texts themselves, so that what is reported is
the true similarity. With b bands of r hashes a pair of similarity s is found with probability 1 − (1 − sʳ)ᵇ: for the
default 20 × 5 that is 99.97 % at 0.8 and 47 % at 0.5.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from r1lab.data.overlap import P, Places, Words, grams_of, parts_of, words_of
from r1lab.hardware import cores

BANDS, ROWS = 20, 5
MOST = 16  # rows of a group that later ones are compared with: a phrase that thousands share stays affordable
SEED = 7


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
    """Looks for duplicates among rows that come batch by batch, in two passes: `add` all of them, then `find`.

    Texts and signatures stand on disk, about 170 bytes a row and the texts themselves; memory grows by some 50 bytes a
    row. Only rows that are kept are compared with: a chain of small changes does not lead from one text to another.

    Args:
        folder: for its files, which `close` removes.
        threshold: similarity from which on a row is a duplicate; 1 for exact ones alone.
        n: words in a shingle.
        threads: that hash texts side by side.
    """

    def __init__(self, folder: Path, threshold: float = 0.8, n: int = 5, threads: int | None = None):
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold={threshold}: a similarity is above 0 and at most 1")
        if n < 1:
            raise ValueError(f"n={n}: a shingle has at least one word")
        self.threshold, self.n = threshold, n
        self.width = 1 + (BANDS if threshold < 1 else 0)  # numbers of a row: the hash of all its words, and its bands
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.texts, self.signatures = (folder / name for name in ("texts", "signatures"))
        self.files = [path.open("wb") for path in (self.texts, self.signatures)]
        self.lengths: list[Places] = []  # bytes of each text
        self.pool = ThreadPoolExecutor(threads or cores())
        dice = np.random.default_rng(SEED)
        self.factors = dice.integers(1, 2**64, BANDS * ROWS, np.uint64) | np.uint64(1)
        self.offsets = dice.integers(0, 2**64, BANDS * ROWS, np.uint64)

    def __enter__(self) -> Duplicates:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files."""
        self.pool.shutdown()
        for file in self.files:
            file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, texts: pa.Array) -> None:
        """The next rows; one that is None, or has no word, is no duplicate and has none."""
        texts = pc.fill_null(texts.cast(pa.string()), "")
        parts = list(parts_of(texts))
        for part, signatures in zip(parts, self.pool.map(self._signatures, parts), strict=True):
            offsets = np.frombuffer(part.buffers()[1], np.int32)[part.offset : part.offset + len(part) + 1]
            data = part.buffers()[2]
            if data is not None:
                self.files[0].write(memoryview(data)[int(offsets[0]) : int(offsets[-1])])
            self.files[1].write(signatures.tobytes())
            self.lengths.append(np.diff(offsets).astype(np.int32))

    def find(self) -> Iterator[Duplicate]:
        """The duplicates among all rows, in their order, each with the earliest row that it was found to repeat."""
        for file in self.files:
            file.flush()
        self.ends = np.cumsum(np.concatenate([np.zeros(1, np.int64), *self.lengths]))
        kept: dict[int, list[int]] = {}  # group → rows in it that are no duplicates
        with self.texts.open("rb") as self.file:
            for row, groups in self._grouped():
                candidates = sorted({other for group in groups for other in kept.get(group, ())})
                found = next((item for other in candidates if (item := self._compare(row, other))), None)
                if found:
                    yield found
                    continue
                for group in groups:
                    if len(members := kept.setdefault(group, [])) < MOST:
                        members.append(row)

    def _grouped(self) -> Iterator[tuple[int, list[int]]]:
        """Rows that share a number with another one, in their order, and the groups that each is in."""
        if not len(self.ends) - 1:
            return
        table = np.memmap(self.signatures, np.uint64, "r", shape=(len(self.ends) - 1, self.width))
        rows, groups, count = [], [], 0
        for band in range(self.width):
            column = np.array(table[:, band])
            order = np.argsort(column, kind="stable")
            column = column[order]
            same = (column[1:] == column[:-1]) & (column[1:] != 0)
            inside = np.concatenate([same, [False]]) | np.concatenate([[False], same])
            begins = inside & ~np.concatenate([[False], same])
            rows.append(order[inside])
            groups.append((np.cumsum(begins) - 1 + count)[inside])
            count += int(begins.sum())
        every, of = np.concatenate(rows), np.concatenate(groups)
        order = np.argsort(every, kind="stable")
        every, of = every[order], of[order]
        cuts = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1]])) if len(every) else every
        for begin, end in zip(cuts.tolist(), [*cuts[1:].tolist(), len(every)], strict=False):
            yield int(every[begin]), of[begin:end].tolist()

    def _compare(self, row: int, first: int) -> Duplicate | None:
        one, other = self._text(row), self._text(first)
        if even(one) == even(other):
            return Duplicate(row, first, 1.0)
        if self.threshold == 1:
            return None
        measured = similarity(one, other, self.n)
        return Duplicate(row, first, measured) if measured >= self.threshold else None

    def _text(self, row: int) -> str:
        self.file.seek(self.ends[row])
        return self.file.read(int(self.ends[row + 1] - self.ends[row])).decode()

    def _signatures(self, part: pa.Array) -> Words:
        """(R, width): hash of all words, then of each band of the MinHash signature; 0 for a row without a word."""
        words, rows, counts = words_of(part)
        starts = np.cumsum(counts) - counts
        some = np.flatnonzero(counts)
        result = np.zeros((len(counts), self.width), np.uint64)
        if not len(some):
            return result
        places = np.arange(len(words)) - starts[rows]
        powers = np.multiply.accumulate(np.full(int(counts.max()), P, np.uint64))
        whole = np.add.reduceat(words * powers[places], starts[some])
        whole ^= whole >> np.uint64(29)
        result[some, 0] = whole | np.uint64(1)
        if self.width > 1:
            result[:, 1:] = self._bands(words, rows, counts, starts)
        return result

    def _bands(self, words: Words, rows: Places, counts: Places, starts: Places) -> Words:
        """(R, BANDS): a hash of each band of a row's MinHash signature."""
        n = self.n
        grams, places = grams_of(words, rows, n)
        short = np.flatnonzero((counts > 0) & (counts < n))
        whole = np.array([np.bitwise_xor.reduce(words[starts[i] : starts[i] + counts[i]]) for i in short], np.uint64)
        grams, owners = np.concatenate([grams, whole]), np.concatenate([rows[places], short])
        order = np.argsort(owners, kind="stable")
        grams, owners = grams[order], owners[order]
        begins = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
        least = np.empty((BANDS * ROWS, len(begins)), np.uint64)
        for k in range(BANDS * ROWS):
            mixed = grams * self.factors[k] + self.offsets[k]
            mixed ^= mixed >> np.uint64(33)
            least[k] = np.minimum.reduceat(mixed, begins)
        bands = least.reshape(BANDS, ROWS, -1)
        combined = bands[:, 0].copy()
        for r in range(1, ROWS):
            combined = combined * np.uint64(P) + bands[:, r]
        result = np.zeros((len(counts), BANDS), np.uint64)
        result[owners[begins]] = combined.T | np.uint64(1)
        return result


def even(text: str | None) -> str:
    """A text in lower case with single spaces between its words."""
    return " ".join((text or "").lower().split())
