"""The completion that deserves full marks: what a reward is tested on, and what a plan can show."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from r1lab.rewards.answers import final_answer, gold_answer
from r1lab.rewards.base import Reward
from r1lab.rewards.choice import letter_of
from r1lab.rewards.code import last_block, parsed
from r1lab.rewards.combined import built, only
from r1lab.rewards.contests import BONUS
from r1lab.rewards.length import curve

CODE = ("gold_standard_solution", "code")  # columns that hold a program
STEPS = "1. Read.\n2. Solve.\n3. Check."
PENALTIES = ("repetition_penalty", "soft_overlong_punishment")


def ideal(row: Mapping[str, Any], rewards: Iterable[str] = ()) -> str:
    """The completion in ideal form for a dataset's row: a think block in three steps, an answer block, and in it the
    program, the letter or the boxed gold answer.

    Args:
        row: with `solution` where there is a gold answer, `gold_standard_solution` or `code` where there is a program,
            fenced or not, in the language that `language` or `verification_info` says.
        rewards: their names, which say what form is asked for: with `think_format` the prompt opens the think block;
            with `multiple_choice` the answer is a letter; with `code_format` it is a block of code even without a gold
            program; with `ioi_code` that is C++.
    """
    names = set(rewards)
    program = next((str(row[name]) for name in CODE if row.get(name)), None)
    if program is not None or "code_format" in names:
        usual = "cpp" if "ioi_code" in names else "python"
        language = str(row.get("language") or parsed(row.get("verification_info")).get("language") or usual)
        bare = (program and last_block(program, language)) or program or "pass"
        content = f"```{language}\n{bare.strip()}\n```"
    else:
        content = boxed(gold_answer(row["solution"]), "multiple_choice" in names) if row.get("solution") else ""
    whole = f"<think>\n{STEPS}\n</think>\n<answer>\n{content}\n</answer>"
    return whole.removeprefix("<think>\n") if "think_format" in names else whole


def boxed(gold: str, letter: bool = False) -> str:
    """A gold answer as an answer block holds it: in a box, or bare where its braces would break the box."""
    gold = (letter_of(gold) or gold) if letter else gold.strip()
    box = rf"\boxed{{{gold}}}"
    return box if final_answer(box) == gold else gold


def full_marks(reward: Reward, completion: str = "") -> float:
    """The most that a reward of r1lab's gives with its parameters, to a completion of this length; `length` gives it
    beside longer ones only. A reward of one's own is taken to give 1."""
    name = reward.target.rpartition(".")[2] or reward.__name__
    declared = inspect.signature(reward.function).parameters
    values: dict[str, Any] = {key: item.default for key, item in declared.items()}
    if name == "cosine":
        return curve(len(completion), values["max_value_correct"], values["min_value_correct"], values["max_len"])
    if name == "weighted_sum":
        parts = [built(part, settings) for part, settings in values["parts"].items()]
        return sum(part.weight * full_marks(part, completion) for part in parts)
    if name == "gate":
        return max(full_marks(only(values["then"]), completion), values["otherwise"])
    if name == "cf_code":
        return 1.0 + BONUS if values["scoring_mode"] == "weighted_sum" else 1.0
    return 0.0 if name in PENALTIES else 0.5 if name == "length" else 1.0
