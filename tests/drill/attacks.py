"""The attacks at length: random ones among honest programs, in many threads, for minutes.

python -m tests.drill.attacks [--rounds N]     # what `make drill` runs; writes benchmarks/results/attacks.json

Each round of each tree ("cgroup" where one can be made, "watcher") is one attack and several honest programs, drawn at
random and run as they come by the boxes of one sandbox. Every honest verdict must be the right one, no attack may get
what it wants, and afterwards no process, cgroup or file may be there that was not there before.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.measure import keep
from r1lab.sandbox import cgroup
from r1lab.sandbox.base import Program, Test, Verdict
from r1lab.sandbox.local import LocalSandbox
from tests.sandbox.attack_programs import ALL, LIMITS
from tests.sandbox.attacking import PATIENT, children, left_outside, targets

HONEST = {
    "python": "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
    "c++": "#include <iostream>\nint main() { long s = 0, x; while (std::cin >> x) s += x; std::cout << s; }",
    "bash": "s=0; for n in $(cat); do s=$((s + n)); done; echo $s",
    "perl": "my $s = 0; $s += $_ for split ' ', join ' ', <STDIN>; print $s;",
}
PER_ATTACK = 4  # honest programs


def honest(sandbox: LocalSandbox, draw: random.Random) -> str:
    """One honest program on a right and a wrong expectation; "right", or what was said instead."""
    numbers = [draw.randrange(1000) for _ in range(20)]
    given, total = " ".join(map(str, numbers)), sum(numbers)
    language = draw.choice(list(HONEST))
    tests = [Test(given, str(total)), Test(given, str(total + 1))]
    found = sandbox.run(Program(language, HONEST[language]), tests, PATIENT)
    right = [item.verdict for item in found] == [Verdict.PASSED, Verdict.WRONG]
    return "right" if right else f"{language}: {found}"


def attack(sandbox: LocalSandbox, draw: random.Random, aims: str) -> str:
    """One attack; "withstood", or what happened."""
    chosen = draw.choice(ALL)
    (found,) = sandbox.run(Program(chosen.language, chosen.source), [Test(aims)], LIMITS)
    late = found.verdict is Verdict.TIMEOUT  # a harmless one that waited long for a processor
    got = re.search(r"\bGOT\b(?! you)", found.output + found.detail)
    return "withstood" if (late or found.verdict in chosen.ends) and not got else f"{chosen.name}: {found}"


def fight(tree: str, rounds: int, threads: int, seed: int) -> dict[str, Any]:
    """All rounds on one sandbox: how often what happened."""
    sandbox = LocalSandbox(tree=tree)
    began, counted, lock = time.monotonic(), Counter[str](), threading.Lock()
    with targets() as aims, ThreadPoolExecutor(threads) as pool:

        def one(number: int) -> None:
            draw = random.Random(seed * 1_000_003 + number)
            evil = number % (PER_ATTACK + 1) == 0
            said = attack(sandbox, draw, json.dumps(aims)) if evil else honest(sandbox, draw)
            with lock:
                counted[said] += 1

        list(pool.map(one, range(rounds * (PER_ATTACK + 1))))
    boxes = len(sandbox.boxes)
    sandbox.close()
    return {"seconds": round(time.monotonic() - began, 1), "boxes": boxes, "counted": dict(counted)}


def groups_left() -> list[str]:
    """Cgroups of this process that still stand."""
    trial = cgroup.create(10**6)
    if trial is None:
        return []
    trial.remove()
    return [item.name for item in trial.memory.parent.glob(f"{cgroup.PREFIX}-{os.getpid()}-*")]


def main() -> None:
    """Fight, keep the result, and fail where anything but the right thing happened."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=400, help="attacks on each tree")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    words = parser.parse_args()
    lost: list[str] = []
    logging.getLogger("r1lab").addFilter(lambda record: lost.append(record.getMessage()) or True)
    trial = cgroup.create(10**6)
    if trial:
        trial.remove()
    before = children()
    results = {}
    for tree in (*(("cgroup",) if trial else ()), "watcher"):
        results[tree] = fight(tree, words.rounds, words.threads, words.seed)
        print(tree, json.dumps(results[tree])[:1000], flush=True)
    assert children() == before, "processes are left"
    assert groups_left() == [], "cgroups are left"
    assert left_outside() == [], "files are left"
    lost = [line for line in lost if "lost" in line]
    keep("attacks", {"rounds": words.rounds, "threads": words.threads, "boxes_lost": len(lost), "results": results})
    for tree, result in results.items():
        expected = {"withstood": words.rounds, "right": words.rounds * PER_ATTACK}
        assert result["counted"] == expected, f"{tree}: {set(result['counted']) - set(expected)}"
    assert lost == [], lost


if __name__ == "__main__":
    main()
