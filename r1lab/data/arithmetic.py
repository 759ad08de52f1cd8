"""Sums of whole numbers, worked column by column: a task small enough to learn in seconds and to diagnose exactly.

A trace has one line per column, units first: the digits, the incoming carry, and their sum as two digits. The answer is
read off the last digits of the lines. `forget` and `slip` give the writer of a trace a habit: outgoing carries dropped,
columns wrong by one, and the answer read off what was written. The solution column is always right.

Problems are held out by a checksum of their numbers, not by a seed: no model that r1lab builds has seen one of them.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator, Sequence

from datasets import Dataset

from r1lab.data.splits import Splits
from r1lab.errors import DataError

Problem = tuple[int, ...]
PARTS = {"test": range(1), "base": range(1, 5), "train": range(5, 10)}  # tenths of all problems
TRIES = 200  # draws per wanted problem before the space counts as exhausted
COMPLETION = re.compile(r"<think>\n(.*?)\n</think>\n<answer>\n(.*?)\n</answer>", re.DOTALL)
LINE = re.compile(r"(\d(?:\+\d)+)=(\d\d)")


def part_of(problem: Problem) -> int:
    """The tenth (0–9) that a problem falls into, by a checksum of its text."""
    return zlib.crc32(question(problem).encode()) % 10


def question(problem: Problem) -> str:
    """The problem in words."""
    return f"What is {' + '.join(map(str, problem))}?"


def draw(rng: random.Random, digits: int, terms: int, carries: float) -> Problem:
    """Draw one problem column by column; with probability `carries` a column is drawn until its digits reach ten."""
    numbers = [0] * terms
    for place in range(digits):
        low = 1 if place == digits - 1 else 0
        must_carry = rng.random() < carries
        column = [rng.randint(low, 9) for _ in range(terms)]
        while must_carry and sum(column) < 10:
            column = [rng.randint(low, 9) for _ in range(terms)]
        numbers = [number + digit * 10**place for number, digit in zip(numbers, column, strict=True)]
    return tuple(numbers)


def problems(part: str, count: int, digits: int, terms: int, seed: int, carries: float = 0.0) -> list[Problem]:
    """Draw `count` different problems of a part ("test", "base" or "train"), as `draw` does.

    Raises:
        DataError: there are not that many.
    """
    rng = random.Random(f"{part}-{seed}")
    found: dict[Problem, None] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        problem = draw(rng, digits, terms, carries)
        if part_of(problem) in PARTS[part]:
            found[problem] = None
    if len(found) < count:
        raise DataError(
            f"dataset arithmetic: {terms} numbers of {digits} digits give about {len(found)} problems for {part}, "
            f"not {count}\n    fix      dataset.digits={digits + 1} or dataset.{part}={len(found)}"
        )
    return list(found)


def columns_of(problem: Problem) -> Iterator[list[int]]:
    """The digits of each column, units first."""
    width = max(len(str(number)) for number in problem)
    for place in range(width):
        yield [number // 10**place % 10 for number in problem]


def trace(problem: Problem, rng: random.Random, forget: float = 0.0, slip: float = 0.0) -> tuple[str, str]:
    """Work a problem column by column.

    Returns:
        The lines of the trace, and the answer as it is read off them (wrong where a habit struck).
    """
    lines: list[str] = []
    carry, read = 0, ""
    columns = list(columns_of(problem))
    for place, digits in enumerate(columns):
        total = sum(digits) + carry
        if rng.random() < slip:
            total = max(0, total + rng.choice((-1, 1)))
        lines.append("+".join(map(str, [*digits, carry])) + f"={total:02d}")
        carry, read = total // 10, f"{total % 10}{read}"
        if carry and place < len(columns) - 1 and rng.random() < forget:
            carry = 0
    return "\n".join(lines), str(int(f"{carry}{read}"))


def completion(problem: Problem, rng: random.Random, forget: float = 0.0, slip: float = 0.0) -> str:
    """A whole completion: the trace in a `<think>` block, the answer read off it in an `<answer>` block."""
    work, answer = trace(problem, rng, forget, slip)
    return f"<think>\n{work}\n</think>\n<answer>\n{answer}\n</answer>"


def rows(chosen: Sequence[Problem], seed: int, forget: float, slip: float) -> list[dict[str, object]]:
    """Rows with columns `prompt`, `solution` and `messages` (prompt and a worked completion)."""
    rng = random.Random(f"traces-{seed}")
    result: list[dict[str, object]] = []
    for problem in chosen:
        user = {"role": "user", "content": question(problem)}
        assistant = {"role": "assistant", "content": completion(problem, rng, forget, slip)}
        result.append({"prompt": user["content"], "solution": str(sum(problem)), "messages": [user, assistant]})
    return result


def load(
    *,
    digits: int = 3,
    terms: int = 2,
    train: int = 8192,
    test: int = 400,
    seed: int = 42,
    carries: float = 0.0,
    forget: float = 0.0,
    slip: float = 0.0,
) -> Splits:
    """Make the dataset.

    Args:
        digits: digits of each number.
        terms: numbers to add.
        train, test: rows of each split.
        carries: share of columns that are drawn so as to carry; the others are uniform.
        seed: which problems are drawn, and the habits' dice.
        forget, slip: habits of the traces in `messages`, as in `trace`.
    """
    training = Dataset.from_list(rows(problems("train", train, digits, terms, seed, carries), seed, forget, slip))
    held_out = Dataset.from_list(rows(problems("test", test, digits, terms, seed, carries), seed, 0.0, 0.0))
    return Splits(training, held_out)


def numbers_in(text: str) -> Problem:
    """The numbers of a question."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


def diagnose(prompts: Sequence[str], completions: Sequence[str]) -> dict[str, float]:
    """How the model works, step by step, over completions that are traces.

    Returns:
        traces: share of completions that are a whole trace.
        copied: share of lines whose digits are the problem's.
        carries_kept: share of outgoing carries (of the lines as written) that the next line takes up.
        columns_right: share of lines whose sum is right for the digits written.
        read_off: share of traces whose answer is the one that their lines spell.
        Rates without a case are left out.
    """
    tallies: dict[str, list[bool]] = {name: [] for name in ("traces", *STEPS)}
    for prompt, text in zip(prompts, completions, strict=True):
        steps = _steps(numbers_in(prompt), text)
        tallies["traces"].append(steps is not None)
        for name, outcomes in (steps or {}).items():
            tallies[name] += outcomes
    return {name: sum(outcomes) / len(outcomes) for name, outcomes in tallies.items() if outcomes}


STEPS = ("copied", "carries_kept", "columns_right", "read_off")


def _steps(problem: Problem, text: str) -> dict[str, list[bool]] | None:
    whole = COMPLETION.fullmatch(text)
    lines = [LINE.fullmatch(line) for line in whole[1].split("\n")] if whole else []
    columns = list(columns_of(problem))
    if not whole or len(lines) != len(columns):
        return None
    outcomes: dict[str, list[bool]] = {name: [] for name in STEPS}
    carry, read = 0, ""
    for line, digits in zip(lines, columns, strict=True):
        if line is None:
            return None
        *written, incoming = (int(digit) for digit in line[1].split("+"))
        total = int(line[2])
        outcomes["copied"].append(written == digits)
        if carry:
            outcomes["carries_kept"].append(incoming == carry)
        outcomes["columns_right"].append(sum(written) + incoming == total)
        carry, read = total // 10, f"{total % 10}{read}"
    outcomes["read_off"].append(whole[2] == str(int(f"{carry}{read}")))
    return outcomes


def explain(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """What changed between two diagnoses, in plain sentences for the run's page."""
    said = {
        "carries_kept": "Carries taken up by the next column",
        "columns_right": "Columns summed right",
        "read_off": "Answers read off the trace as written",
        "traces": "Completions that are a whole column-by-column trace",
    }
    pairs = [(label, before[name], after[name]) for name, label in said.items() if name in before and name in after]
    sentences = [f"{label}: {old:.0%} before, {new:.0%} after." for label, old, new in pairs]
    change = {
        name: after[name] - before[name]
        for name in ("carries_kept", "columns_right")
        if name in before and name in after
    }
    if change.get("carries_kept", 0) > 0.2 and abs(change.get("columns_right", 1)) < 0.1:
        sentences.append(
            "What went away is a habit, dropping carries. "
            "Adding up a column was known before and is about as good as it was."
        )
    return sentences
