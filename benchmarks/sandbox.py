"""What the local sandbox costs beside no sandbox at all: the same programs, bare and in boxes, in turns.

python -m benchmarks.sandbox       # writes benchmarks/results/sandbox.json

Python: tests per second, two at once, beside as many `python3 -c` with the same program. C++: a cold cache and 20
tests, beside g++ and 20 runs of what it made. Fails where boxes are less than 3 times as fast for Python with the usual
imports (they fork a warm interpreter), or take more than 1.15 times as long as the bare tools for C++.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measure import keep
from r1lab.sandbox.base import Program, Test
from r1lab.sandbox.local import LocalSandbox

PARALLEL = 2
PYTHON = "/usr/bin/python3"
FASTER, DEARER = 3.0, 1.15
IMPORTS = """import sys, math, heapq, bisect, random
from collections import Counter, defaultdict, deque
from functools import lru_cache
from itertools import accumulate, combinations
from typing import List
"""
SOLVE = """
def solve() -> None:
    n = int(input())
    numbers = list(map(int, input().split()))
    seen = {}
    for index, value in enumerate(numbers):
        seen[value] = seen.get(value, 0) + index
    print(n, sum(seen.values()), max(numbers))

solve()
"""
PROGRAMS = {"with the usual imports": IMPORTS + SOLVE, "without imports": SOLVE}
GIVEN = "100\n" + " ".join(str(n * 37 % 101) for n in range(100)) + "\n"
PRINTED = "100 4950 100\n"
CPP = """#include <algorithm>
#include <iostream>
#include <map>
#include <vector>
int main() {
    int n;
    std::cin >> n;
    std::vector<int> numbers(n);
    std::map<int, long> seen;
    long index = 0, total = 0;
    for (int &x : numbers) std::cin >> x, seen[x] += index++;
    for (auto &pair : seen) total += pair.second;
    std::cout << n << ' ' << total << ' ' << *std::max_element(numbers.begin(), numbers.end()) << std::endl;
}
"""


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes on the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare(command: list[str]) -> None:
    """One test without a sandbox."""
    done = subprocess.run(command, input=GIVEN, capture_output=True, text=True, check=True)
    assert done.stdout == PRINTED, done


def boxed(sandbox: LocalSandbox, program: Program, tests: int = 1) -> None:
    """Tests in a box."""
    assert all(item.passed for item in sandbox.run(program, [Test(GIVEN, PRINTED)] * tests))


def python(rounds: int, tests: int) -> dict[str, Any]:
    """Bare and boxed Python in turns: tests per second, and how many times as many in boxes."""
    found = {}
    sandbox = LocalSandbox(workers=PARALLEL)
    with ThreadPoolExecutor(PARALLEL) as threads:
        for name, source in PROGRAMS.items():
            each: list[tuple[float, float]] = []
            program = Program("python", source)
            for _ in range(PARALLEL):
                list(threads.map(lambda _, p=program: boxed(sandbox, p), range(PARALLEL)))
            for _ in range(rounds):
                without = seconds(lambda s=source: list(threads.map(lambda _: bare([PYTHON, "-c", s]), range(tests))))
                within = seconds(lambda p=program: list(threads.map(lambda _: boxed(sandbox, p), range(tests))))
                each.append((without, within))
            found[name] = {
                "bare_per_second": round(tests / statistics.median(pair[0] for pair in each), 1),
                "boxed_per_second": round(tests / statistics.median(pair[1] for pair in each), 1),
                "times_as_fast": round(statistics.median(pair[0] / pair[1] for pair in each), 2),
            }
    sandbox.close()
    return found


def cpp(rounds: int, tests: int) -> dict[str, Any]:
    """g++ and its program, bare and boxed in turns: seconds, and the ratio."""
    sandbox = LocalSandbox(workers=1)
    boxed(sandbox, Program("c++", CPP))
    each: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "main.cpp"), Path(folder, "program")

        def without() -> None:
            source.write_text(CPP)
            words = ["-std=gnu++17", "-O2", "-pipe", "-DONLINE_JUDGE", "-o", str(made), str(source), "-lm"]
            subprocess.run(["/usr/bin/g++", *words], check=True)
            for _ in range(tests):
                bare([str(made)])

        for _ in range(rounds):
            sandbox.cache.clear()
            each.append((seconds(without), seconds(lambda: boxed(sandbox, Program("c++", CPP), tests))))
    sandbox.close()
    return {
        "bare_seconds": round(statistics.median(pair[0] for pair in each), 3),
        "boxed_seconds": round(statistics.median(pair[1] for pair in each), 3),
        "ratio": round(statistics.median(pair[1] / pair[0] for pair in each), 3),
    }


def main() -> None:
    """Measure, keep, and fail where the sandbox is dearer than promised."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tests", type=int, default=300)
    words = parser.parse_args()
    found = {"python": python(words.rounds, words.tests), "cpp, 20 tests": cpp(words.rounds, 20)}
    keep("sandbox", {"rounds": words.rounds, "tests": words.tests, "parallel": PARALLEL, **found})
    assert found["python"]["with the usual imports"]["times_as_fast"] >= FASTER, found["python"]
    assert found["cpp, 20 tests"]["ratio"] <= DEARER, found["cpp, 20 tests"]


if __name__ == "__main__":
    main()
