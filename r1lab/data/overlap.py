"""Which texts share n words in a row with which documents: the measure of contamination.

Words are what white space separates, in lower case, as in s1 (Muennighoff et al. 2025, arXiv 2501.19393, appendix C).
Words and their n-grams are hashed by array arithmetic over many texts at once; what looks like a match is then compared
word for word, so that a flag is never a collision. A text of fewer than n words matches a document that is the same as
a whole.

    hash of words w_i … w_i+n−1:  Σ h(w_i+k) · P^(n−1−k)  mod 2⁶⁴, where h reads a word eight bytes at a time
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from r1lab.hardware import cores

CHUNK = 1 << 18  # bytes whose arrays fit a core's cache
TABLE_BITS = 23  # of the first, coarse look: one byte for each value of so many bits
P, Q = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F  # odd, so that they have inverses mod 2⁶⁴

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
    """Documents to compare texts with; memory grows by 24 bytes for each of their n-grams.

    Args:
        sources: name → documents.
        n: words in a row that make a match.
        threads: that look at texts side by side; array arithmetic runs outside of the interpreter's lock.
    """

    def __init__(self, sources: Mapping[str, Sequence[str]], n: int = 8, threads: int | None = None):
        if n < 1:
            raise ValueError(f"n={n}: an n-gram has at least one word")
        self.n = n
        self.pool = ThreadPoolExecutor(threads or cores())
        self.names = list(sources)
        self.documents = [
            (source, place) for source, texts in enumerate(sources.values()) for place in range(len(texts))
        ]
        self.texts = [text for texts in sources.values() for text in texts]
        self.short: dict[str, dict[str, int]] = {}  # whole documents of fewer words → source → the first of them
        every, first = pa.array(self.texts, pa.string()), 0
        hashes, owners, starts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for part in parts_of(every):
            words, rows, counts = words_of(part)
            grams, places = grams_of(words, rows, n)
            hashes.append(grams)
            owners.append(rows[places] + first)
            starts.append(places - (np.cumsum(counts) - counts)[rows[places]])
            for number in (np.flatnonzero((counts > 0) & (counts < n)) + first).tolist():
                source, place = self.documents[number]
                whole = " ".join(self.texts[number].lower().split())
                self.short.setdefault(whole, {}).setdefault(self.names[source], place)
            first += len(part)
        self._index(np.concatenate(hashes), np.concatenate(owners), np.concatenate(starts))

    def _index(self, hashes: Words, owners: Places, starts: Places) -> None:
        """Sort the n-grams by hash; of equal ones in a source only the first is kept."""
        sources = np.array([source for source, _ in self.documents], np.int64)[owners]
        order = np.lexsort((sources, hashes))  # stable: the first document comes first
        hashes, sources = hashes[order], sources[order]
        new = np.ones(len(hashes), bool)
        new[1:] = (hashes[1:] != hashes[:-1]) | (sources[1:] != sources[:-1])
        self.hashes, self.owners, self.starts = hashes[new], owners[order][new], starts[order][new]
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
        parts = list(parts_of(array))
        firsts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
        return [match for found in self.pool.map(self._find, parts, firsts) for match in found]

    def _find(self, part: pa.Array, first: int) -> list[Match]:
        words, rows, counts = words_of(part)
        grams, places = grams_of(words, rows, self.n)
        likely = np.flatnonzero(self.table[grams >> np.uint64(64 - TABLE_BITS)])
        near = np.searchsorted(self.hashes, grams[likely])
        near[near == len(self.hashes)] = 0
        same = self.hashes[near] == grams[likely] if len(self.hashes) else near > 0
        hits: dict[int, list[tuple[int, int]]] = {}
        owners = rows[places[likely[same]]]
        positions = places[likely[same]] - (np.cumsum(counts) - counts)[owners]
        for row, position, entry in zip(owners.tolist(), positions.tolist(), near[same].tolist(), strict=True):
            hits.setdefault(row, []).append((position, entry))
        if self.short:
            hits |= {row: [] for row in np.flatnonzero((counts > 0) & (counts < self.n)).tolist()}
        return [match for row in sorted(hits) for match in self._compare(part[row].as_py(), first + row, hits[row])]

    def _compare(self, text: str, row: int, hits: list[tuple[int, int]]) -> Iterator[Match]:
        """The matches of one text, word for word.

        Args:
            hits: where n words have the hash of an entry, and the first such entry.
        """
        words = text.lower().split()
        if len(words) < self.n:
            whole = " ".join(words)
            for name, document in self.short.get(whole, {}).items():
                yield Match(row, name, document, whole)
            return
        seen: set[int] = set()
        for position, entry in hits:
            span = words[position : position + self.n]
            for other in range(entry, len(self.hashes)):
                if self.hashes[other] != self.hashes[entry]:
                    break
                number, start = int(self.owners[other]), int(self.starts[other])
                source, place = self.documents[number]
                if source not in seen and self._words(number)[start : start + self.n] == span:
                    seen.add(source)
                    yield Match(row, self.names[source], place, " ".join(span))
            if len(seen) == len(self.names):
                return

    def _words(self, number: int) -> list[str]:
        return self.texts[number].lower().split()


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
    raw, offsets = _bytes_of(texts)
    space = (raw - np.uint8(9) <= 4) | (raw - np.uint8(28) <= 4)  # what str.split takes of ASCII
    change = np.flatnonzero(space[1:] != space[:-1]) + 1  # words begin and end in turn
    if not space[0]:
        change = np.concatenate([[0], change])
    begins, ends = change[0::2], change[1::2]
    lengths = ends - begins
    window = np.ndarray(len(raw) - 7, "<u8", raw, strides=(1,))  # the eight bytes from each byte on
    hashes = window[begins] & FIRST[np.minimum(lengths, 8)]
    longer = np.flatnonzero(lengths > 8)
    done = 8
    while len(longer):
        if done == LONG:
            for i in longer.tolist():
                digest = hashlib.blake2b(raw[begins[i] : ends[i]].tobytes(), digest_size=8).digest()
                hashes[i] = int.from_bytes(digest, "little")
            break
        seen = hashes[longer] * np.uint64(Q)
        seen ^= seen >> np.uint64(29)
        hashes[longer] = seen + (window[begins[longer] + done] & FIRST[np.minimum(lengths[longer] - done, 8)])
        done += 8
        longer = longer[lengths[longer] > done]
    hashes += lengths.view(np.uint64) * np.uint64(P)  # else NULs at a word's end would not count
    hashes *= np.uint64(Q)
    hashes ^= hashes >> np.uint64(29)
    counts = np.diff(np.searchsorted(begins, offsets))
    return hashes, np.repeat(np.arange(len(counts)), counts), counts


def _bytes_of(texts: pa.Array) -> tuple[NDArray[np.uint8], Places]:
    """The bytes of texts in lower case, a space behind each and eight behind the last, and where each begins."""
    texts = pc.fill_null(texts.cast(pa.string()), "")
    odd = pc.invert(pc.string_is_ascii(texts))
    if pc.any(odd, min_count=0).as_py():  # Python's own rules, on the rows that need them
        even = [" ".join(text.lower().split()) for text in texts.filter(odd).to_pylist()]
        texts = pc.replace_with_mask(texts, odd, pa.array(even, pa.string()))
    joined = pc.binary_join_element_wise(texts, "", " ")
    offsets = np.frombuffer(joined.buffers()[1], np.int32)[joined.offset : joined.offset + len(joined) + 1]
    offsets = offsets.astype(np.int64)
    raw = np.full(offsets[-1] - offsets[0] + 8, 32, np.uint8)
    raw[:-8] = np.frombuffer(joined.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    raw += (raw - np.uint8(65) < 26).view(np.uint8) << np.uint8(5)
    return raw, offsets - offsets[0]


def grams_of(words: Words, rows: Places, n: int) -> tuple[Words, Places]:
    """Hashes of all n words in a row of the same text, and the place of the first of them."""
    if len(words) < n:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    grams, width = words, 1
    for bit in f"{n:b}"[1:]:  # doubled and extended, as a power is raised: log n passes over the words
        grams = grams[: len(grams) - width] * np.uint64(pow(P, width, 1 << 64)) + grams[width:]
        width *= 2
        if bit == "1":
            grams = grams[:-1] * np.uint64(P) + words[width:]
            width += 1
    grams = grams ^ grams >> np.uint64(31)
    grams *= np.uint64(Q)
    places = np.flatnonzero(rows[: len(grams)] == rows[n - 1 :])
    return (grams if len(places) == len(grams) else grams[places]), places


LONG = 64  # bytes of a word from which on a hash function of the library is quicker
FIRST = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)  # masks of the first bytes of eight
