"""A ring for attacks: one box that is attacked, one bystander, and everything that must be true afterwards."""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1lab.sandbox.base import Limits, Program, Test, Verdict
from r1lab.sandbox.local import LocalSandbox
from tests.sandbox.attack_programs import FINDERS, LEFT, LIMITS, Attack

HONEST = Program("python", "import sys\nprint(sum(map(int, sys.stdin.read().split())))")
HONEST_TESTS = [Test("1 2 3", "6"), Test("40 2", "42")]
PATIENT = Limits(seconds=10.0, wall_seconds=30.0)
FINDER = FINDERS[0]
SLACK = 1.0  # seconds that an attack may outlive its limit
BOX_PROCESSES = 3  # bubblewrap, the spawner, and the first process of the next program's world
PLACES = ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/usr", "/etc", "/run")


others: set[int] = set()  # processes that tests before these have left running, such as warm boxes and verifiers


def children() -> set[int]:
    """All processes below this one, but for `others`."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(folder.name)] = int(fields[1])
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()} - others


def settled(count: int) -> None:
    """So many processes below this one, soon: a box makes the next world after it told how a program ended.

    Raises:
        AssertionError: more stay, or fewer.
    """
    end = time.monotonic() + SLACK
    while len(children()) != count:
        assert time.monotonic() < end, (len(children()), count)


def left_outside() -> list[str]:
    """Files that an attack left on the machine."""
    return [place for place in PLACES if os.path.lexists(Path(place, LEFT))]


@contextmanager
def targets() -> Iterator[dict[str, object]]:
    """What attacks aim at: a secret file, and listeners on the machine's own loopback, by name and by path."""
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder, "canary")
        canary.write_text("a secret")
        by_port = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        by_name, by_path = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        with by_port, by_name, by_path:
            name = f"r1lab-{os.getpid()}"
            by_name.bind(f"\0{name}")
            by_path.bind(f"{folder}/socket")
            for listener in (by_port, by_name, by_path):
                listener.listen(100)
            port = by_port.getsockname()[1]
            home = str(Path.home())
            yield {"canary": str(canary), "home": home, "port": port, "abstract": name, "socket": f"{folder}/socket"}


class Ring:
    """Two sandboxes of one box each.

    Args:
        tree: who holds the limits of a tree, see `LocalSandbox`.
        aims: of `targets`.
    """

    def __init__(self, tree: str, aims: dict[str, object]):
        self.tried = LocalSandbox(workers=1, tree=tree)
        self.bystander = LocalSandbox(workers=1, tree=tree)
        self.aims = json.dumps(aims)
        self.honest(self.tried)
        self.honest(self.bystander)

    def honest(self, sandbox: LocalSandbox) -> None:
        """A good program passes."""
        outcomes = sandbox.run(HONEST, HONEST_TESTS, PATIENT)
        assert [item.verdict for item in outcomes] == [Verdict.PASSED] * 2, outcomes

    def withstand(self, attack: Attack) -> None:
        """Run an attack with a bystander beside it, and look at everything that it might have done."""
        box = self.tried.idle[0]
        over = threading.Event()
        faults: list[BaseException] = []

        def stand_by() -> None:
            try:
                while True:
                    self.honest(self.bystander)
                    if over.is_set():
                        return
            except BaseException as error:
                faults.append(error)
                raise

        thread = threading.Thread(target=stand_by)
        thread.start()
        began = time.monotonic()
        try:
            program = Program(attack.language, attack.source)
            (outcome,) = self.tried.run(program, [Test(self.aims)], LIMITS)
        finally:
            seconds = time.monotonic() - began
            over.set()
            thread.join()
        assert not faults, faults
        assert outcome.verdict in attack.ends, outcome
        said = outcome.output + outcome.detail
        assert not re.search(r"\bGOT\b(?! you)", said.replace(attack.source, "")), said[:2000]
        assert outcome.passed or attack.cause in outcome.detail, outcome
        compiling = 2 * LIMITS.compile_seconds if attack.language in ("c", "c++") else 0.0
        assert seconds < LIMITS.wall_seconds + compiling + SLACK, seconds
        assert outcome.seconds < LIMITS.seconds + SLACK, outcome
        assert len(outcome.output) <= LIMITS.output
        (found,) = self.tried.run(Program("python", FINDER.source), [Test(self.aims)], PATIENT)
        assert (found.verdict, found.output) == (Verdict.PASSED, ""), found
        self.honest(self.tried)
        assert self.tried.idle == [box], "the attack cost a box"
        settled(2 * BOX_PROCESSES)
        assert left_outside() == []

    def close(self) -> None:
        """End both."""
        self.tried.close()
        self.bystander.close()
