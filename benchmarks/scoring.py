"""Scoring 10,000 math completions and 2,000 programs, beside lighteval's own scoring of the same completions.

python -m benchmarks.scoring            # writes benchmarks/results/scoring_math.json and scoring_code.json

Needs make install-eval. 625 problems × 16 completions of 50 to 400 words, answers as in MATH-500, and 125 problems × 16
programs with 10 tests each. Both sides score them in turns; imports and starts are not counted. Every difference
between verdicts is told.
Fails where r1lab is not ahead, or where a difference is of a kind that EXPLAINED does not name.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.accuracy import FORMS, PLAIN, PROSE
from benchmarks.measure import keep
from r1lab.config.evaluating import LIGHTEVAL, interpreter
from r1lab.rewards import load
from r1lab.rewards.livecode import livecode

SAMPLES, MATH, CODE, TESTS = 16, 625, 125, 10
SCRIPT = Path(__file__).with_name("lighteval_scoring.py")
MORE = [  # further answers of MATH-500's kinds: right, another way to write it, wrong
    (r"\frac{{{a}}}{{{b}}}", r"{a}/{b}", r"\frac{{{b}}}{{{a}}}"),
    ("{a}", "{a}.0", "{b}"),
    (r"\text{{{letter}}}", "{letter}", r"\text{{{other}}}"),
    (r"{a}\%", "{a}", r"{b}\%"),
    (r"{a}\sqrt{{2}}", r"\sqrt{{2}}\cdot {a}", r"{b}\sqrt{{2}}"),
    (r"(-\infty, {a}]", r"(-\infty,{a}]", r"(-\infty,{a})"),
    (r"{a}^\circ", "{a}", r"{b}^\circ"),
    ("x={a}", "{a}", "x={b}"),
    ("{a},{b}", "{b}, {a}", "{a},{a}"),
]
KINDS = [(right, right, wrong) for right, wrong in (PLAIN, PLAIN, *FORMS)] + MORE
EXPLAINED = {  # kind of completion → why lighteval judges it otherwise
    r"{a}\% answered by {a}": "lighteval reads the gold answer 10% as 1/10; r1lab takes 10 for 10%",
}
SOLVE = {  # programs of one problem: n numbers in a line; right ones and wrong ones
    "right": "n = int(input())\nxs = list(map(int, input().split()))\nprint(sum(xs) * {k})",
    "right too": "import sys\ndata = sys.stdin.read().split()\nprint({k} * sum(int(x) for x in data[1:]))",
    "off by one": "n = int(input())\nxs = list(map(int, input().split()))\nprint(sum(xs[1:]) * {k})",
    "crashes": "n = int(input())\nprint(xs)",
    "no program": "",
    "extra line": "n = int(input())\nxs = list(map(int, input().split()))\nprint(sum(xs) * {k})\nprint('done')",
}


def math_work(dice: random.Random) -> list[tuple[str, list[str], list[str]]]:
    """Problems: gold answer, completions, and of each the kind of answer that it holds."""
    work = []
    for number in range(MATH):
        kind = number % len(KINDS)
        right, other, wrong = KINDS[kind]
        a, b = dice.randint(2, 999), dice.randint(2, 999)
        words = {"a": a, "b": b + (a == b), "letter": dice.choice("ABCDE"), "other": dice.choice("FGHIJ")}
        texts, kinds = [], []
        for _ in range(SAMPLES):
            form = dice.choice((right, right, other, wrong, wrong, ""))
            prose = " ".join(dice.choices(PROSE.split(), k=dice.randint(50, 400)))
            answer = f"The answer is $\\boxed{{{form.format(**words)}}}$." if form else "I could not find it."
            texts.append(f"<think>\n{prose}\n</think>\n{answer}")
            kinds.append(f"{right} answered by {form or 'nothing'}")
        work.append((right.format(**words), texts, kinds))
    return work


def code_work(dice: random.Random) -> list[tuple[dict[str, Any], list[str], list[str]]]:
    """Problems: tests, completions, and of each the kind of program that it holds."""
    work = []
    for number in range(CODE):
        k, inputs, outputs = number + 2, [], []
        for _ in range(TESTS):
            xs = [dice.randint(-99, 99) for _ in range(dice.randint(2, 30))]
            inputs.append(f"{len(xs)}\n{' '.join(map(str, xs))}\n")
            outputs.append(f"{k * sum(xs)}\n")
        kinds = [dice.choice(list(SOLVE)) for _ in range(SAMPLES)]
        blocks = [f"```python\n{SOLVE[kind].format(k=k)}\n```" if SOLVE[kind] else "No idea." for kind in kinds]
        texts = [f"<think>\nI add them.\n</think>\nHere it is.\n\n{block}\n" for block in blocks]
        work.append(({"inputs": inputs, "outputs": outputs, "fn_name": None}, texts, kinds))
    return work


def ours_math(work: list[Any]) -> list[float | None]:
    """r1lab's verdicts of math."""
    texts = [text for _, row, _ in work for text in row]
    return load("accuracy")(texts, solution=[gold for gold, row, _ in work for _ in row])


def ours_code(work: list[Any]) -> list[float | None]:
    """r1lab's verdicts of programs, each test in the sandbox."""
    columns: dict[str, list[Any]] = {"public_test_cases": [], "private_test_cases": [], "metadata": []}
    for tests, row, _ in work:
        pairs = zip(tests["inputs"], tests["outputs"], strict=True)
        listed = [{"input": given, "output": wanted, "testtype": "stdin"} for given, wanted in pairs]
        columns["public_test_cases"] += [json.dumps(listed)] * len(row)
        columns["private_test_cases"] += ["[]"] * len(row)
        columns["metadata"] += ["{}"] * len(row)
    return livecode([text for _, row, _ in work for text in row], **columns, sandbox={"name": "local"})


OURS: dict[str, Callable[[list[Any]], list[float | None]]] = {"math": ours_math, "code": ours_code}


def theirs(part: str, work: list[Any], folder: Path) -> tuple[float, list[float]]:
    """lighteval's seconds and verdicts of one part."""
    python = interpreter()
    assert python, "make install-eval"
    given, result = folder / "work.json", folder / "result.json"
    given.write_text(json.dumps({part: [(first, texts) for first, texts, _ in work]}))
    with (folder / "log").open("wb") as log:
        subprocess.run([python, str(SCRIPT), str(given), str(result), part], check=True, stdout=log, stderr=log)
    found = json.loads(result.read_text())[part]
    return float(found["seconds"]), list(found["verdicts"])


def compared(part: str, work: list[Any], warm: list[Any], rounds: int, folder: Path) -> dict[str, Any]:
    """Both sides in turns, the better round of each, and how often their verdicts differ on which kind."""
    seconds: dict[str, list[float]] = {"lighteval": [], "r1lab": []}
    OURS[part](warm)  # processes and boxes that a run has started by then
    for _ in range(rounds):
        took, foreign = theirs(part, work, folder)
        began = time.perf_counter()
        own = OURS[part](work)
        seconds["r1lab"].append(time.perf_counter() - began)
        seconds["lighteval"].append(took)
    kinds = [kind for _, _, row in work for kind in row]
    apart = Counter((kind, mine, other) for kind, mine, other in zip(kinds, own, foreign, strict=True) if mine != other)
    best = {name: min(values) for name, values in seconds.items()}
    return {
        "completions": len(kinds),
        "right": {"r1lab": own.count(1.0), "lighteval": foreign.count(1.0)},
        **{f"{name}_s": round(value, 2) for name, value in best.items()},
        "times_faster": round(best["lighteval"] / best["r1lab"], 1),
        "same_verdicts": len(kinds) - sum(apart.values()),
        "differences": [
            {"kind": kind, "r1lab": mine, "lighteval": other, "completions": count, "why": EXPLAINED.get(kind, "")}
            for (kind, mine, other), count in sorted(apart.items(), key=str)
        ],
    }


def main() -> None:
    """Measure; fail where a mark is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--parts", nargs="+", default=["math", "code"])
    parser.add_argument("--share", type=float, default=1.0, help="of the problems; the result says how many they were")
    options = parser.parse_args()
    works: dict[str, list[Any]] = {"math": math_work(random.Random(1)), "code": code_work(random.Random(2))}
    others = {"math": math_work(random.Random(3))[: len(KINDS)], "code": code_work(random.Random(4))[:2]}
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts:
            work = works[part][: max(1, round(len(works[part]) * options.share))]
            results[part] = compared(part, work, others[part], options.rounds, Path(folder))
            keep(f"scoring_{part}", {"lighteval": LIGHTEVAL, **results[part]})
    for part, result in results.items():
        assert result["times_faster"] > 1, (part, result)
        assert not [item for item in result["differences"] if not item["why"]], (part, result["differences"])


if __name__ == "__main__":
    main()
