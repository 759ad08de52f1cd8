"""Signs of life: each node of a run writes one every few seconds, and looks at those of the others.

A node that goes dark breaks no connection: whoever waits for it waits on, and a queue may take minutes to notice. Nodes
have no clock in common, and a file server may stand still for everybody: so what counts is how many looks in a row have
found a node's sign unchanged, not what time it holds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from r1lab.runs.folder import write_atomic

LOOKS = 12  # in a row that find nothing new, until a node counts as lost


class Heartbeat:
    """This node's signs, and what is known of the others'.

    Args:
        notes: the folder of this start of the run, which all nodes see; empty before it.
        index: this node's number.
        others: theirs.
        silence: seconds without a sign after which a node is lost.
    """

    def __init__(self, notes: Path, index: int, others: Iterable[int], silence: float):
        self.notes, self.index, self.every = notes, index, silence / LOOKS
        self.seen: dict[int, tuple[str, int]] = dict.fromkeys(others, ("", 0))  # the last sign, and looks since
        self.number, self.next = 0, 0.0

    def beat(self) -> int | None:
        """Give a sign and look for the others', if it is time; the number of a node that is lost."""
        if time.monotonic() < self.next:
            return None
        self.next = time.monotonic() + self.every
        self.number += 1
        write_atomic(self._file(self.index), str(self.number))
        for other, (before, looks) in self.seen.items():
            try:
                sign = self._file(other).read_text()
            except FileNotFoundError:
                continue  # it has not begun: containers are fetched at different speeds
            except OSError:  # on a file server, of one that was replaced at this moment: a look that finds nothing new
                sign = before
            if (self.notes / f"{other}.ended").exists():
                continue
            self.seen[other] = (sign, looks + 1 if sign == before else 0)
            if self.seen[other][1] >= LOOKS:
                return other
        return None

    def _file(self, index: int) -> Path:
        return self.notes / f"{index}.alive"
