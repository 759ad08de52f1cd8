"""`accuracy` beside math-verify called once per completion in one process, as Open-R1 does; verdicts must be equal.

python -m benchmarks.accuracy            # writes benchmarks/results/accuracy.json

16 completions for each of 64 problems, whose answers repeat as a model's do; and 1,024 different problems. Half of the
answers are whole numbers, as in competitions; one load has none.
"""

from __future__ import annotations

import logging
import random
import time
from importlib.metadata import version

from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify

from benchmarks.measure import keep
from r1lab.rewards import load
from r1lab.rewards.pool import pool

Work = tuple[list[str], list[str]]

ROUNDS = 3
PROBLEMS, SAMPLES = 64, 16
PROSE = "we see that the sum of these terms equals what was asked so let us check once more and then take the next step"
PLAIN = ("{a}{b}", "{b}{a}1")
FORMS = [  # gold answers and the wrong ones beside them, of the kinds that mathematics data sets hold
    (r"\frac{{{a}}}{{{b}}}", r"\frac{{{b}}}{{{a}}}"),
    (r"{a}\sqrt{{{b}}}", r"{b}\sqrt{{{a}}}"),
    ("{a}x^2+{b}x+1", "{a}x^2-{b}x+1"),
    ("({a},{b})", "({b},{a})"),
    (r"\{{{a},{b},-1\}}", r"\{{{a},{b},1\}}"),
    ("[{a},{b}00)", "({a},{b}00)"),
    (r"\frac{{{a}\pi}}{{{b}}}", r"\frac{{{b}\pi}}{{{a}}}"),
]
MIXED = [form for place, form in enumerate(FORMS) for form in ([PLAIN, form] if place else [form, PLAIN, PLAIN])]
READ = LatexExtractionConfig(
    normalization_config=NormalizationConfig(
        nits=False, malformed_operators=False, basic_latex=True, equations=True, boxed="all", units=True
    ),
    boxed_match_priority=0,
    try_extract_without_anchor=False,
)


def completion(answer: str, dice: random.Random) -> str:
    """200 to 1,500 words of reasoning with LaTeX in between, and a boxed answer."""
    words = dice.choices(PROSE.split(), k=dice.randint(200, 1500))
    for place in range(0, len(words), 40):
        words[place] = f"${dice.randint(1, 99)}x + {dice.randint(1, 99)}$."
    return f"<think>\n{' '.join(words)}\n</think>\nThe answer is $\\boxed{{{answer}}}$."


def workload(problems: int, samples: int, forms: list[tuple[str, str]], seed: int) -> Work:
    """Completions and gold answers: about half are right, the wrong ones of a problem are of four kinds.

    Another seed has other numbers: nothing is remembered from one round to the next.
    """
    dice = random.Random(seed)
    texts, golds = [], []
    for number in range(problems):
        right, wrong = forms[number % len(forms)]
        a, b = 7 * (number + 2000 * seed) + 11, 5 * (number + 2000 * seed) + 3
        for _ in range(samples):
            slip = dice.choice([None] * 4 + [0, 1, 2, 3])
            form = right if slip is None else wrong
            texts.append(completion(form.format(a=a + (slip or 0), b=b), dice))
            golds.append(f"${right.format(a=a, b=b)}$")
    return texts, golds


def reference(texts: list[str], golds: list[str]) -> list[float | None]:
    """Gold answer and completion parsed and compared for every completion anew."""
    scores: list[float | None] = []
    for text, gold in zip(texts, golds, strict=True):
        expected = parse(gold, extraction_mode="first_match")
        found = parse(text, extraction_config=[READ], extraction_mode="first_match")
        scores.append(float(verify(expected, found)) if expected else None)
    return scores


def measured(problems: int, samples: int, forms: list[tuple[str, str]], rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds of each side's best round, in turns, after one that does not count; the verdicts are compared."""
    accuracy = load("accuracy")
    seconds: dict[str, list[float]] = {"reference": [], "r1lab": []}
    for number in range(rounds + 1):
        texts, golds = workload(problems, samples, forms, number)
        began = time.perf_counter()
        theirs = reference(texts, golds)
        between = time.perf_counter()
        ours = accuracy(texts, solution=golds)
        seconds["r1lab"].append(time.perf_counter() - between)
        seconds["reference"].append(between - began)
        assert ours == theirs, [item for item in zip(golds, texts, ours, theirs, strict=True) if item[2] != item[3]][:3]
    times = {name: min(values[1:]) for name, values in seconds.items()}
    return {
        "completions": problems * samples,
        "right": sum(score == 1.0 for score in ours),
        **{f"{name}_s": round(value, 3) for name, value in times.items()},
        "times_faster": round(times["reference"] / times["r1lab"], 1),
    }


def main() -> None:
    """Measure; fail where a load misses its mark."""
    logging.disable()
    results = {  # the long loads first: both sides are as warm as they are in the middle of a training
        "1024 different, no whole numbers": measured(PROBLEMS * SAMPLES, 1, FORMS),
        "1024 different": measured(PROBLEMS * SAMPLES, 1, MIXED),
        "64 problems x 16": measured(PROBLEMS, SAMPLES, MIXED, rounds=4 * ROUNDS),
    }
    keep("accuracy", {"math-verify": version("math-verify"), "workers": pool().count, "results": results})
    assert results["64 problems x 16"]["times_faster"] >= 10, results
    assert results["1024 different"]["times_faster"] >= 2.5, results


if __name__ == "__main__":
    main()
