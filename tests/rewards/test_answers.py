"""Where the final answer stands, in completions and in gold solutions."""

from __future__ import annotations

import time

import pytest

from r1lab.rewards.answers import final_answer, gold_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{12}", "12"),
        (r"\boxed{1} and then \boxed{2}", "2"),
        (r"<answer>3</answer> \boxed{2}", "2"),  # the box first, wherever it stands
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {7}", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),  # printed braces need not balance
        (r"\boxed{3} \boxed{4", "3"),  # cut off
        (r"} \boxed{8}", "8"),
        (r"{\boxed{9}", "9"),
        (r"\boxed{}", ""),
        ("<answer>\n42\n</answer>", "42"),
        ("<answer>1</answer> no, <answer>2</answer>", "2"),
        ("<answer>1</answer> <answer>2", "1"),
        ("<answer>1 <answer>2</answer>", "2"),
        ("</answer><answer>", None),
        ("the answer is 42", None),  # never unanchored
        ("42", None),
        ("", None),
        (r"\boxed{", None),
        ("<answer>", None),
    ],
)
def test_the_final_answer_is_the_last_box_else_the_last_block(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"<think>\boxed{6}</think>\boxed{5}", "5"),
        (r"<think>\boxed{6}</think><answer>5</answer>", "5"),
        (r"<think>\boxed{6}</think>The answer is $5$.", "$5$"),
        (r"<think>\boxed{6}</think> done", "6"),  # nothing behind the thought: the whole text
        (r"<think>the answer is $6$</think> 5", "$6$"),
        (r"<think>\boxed{6}", "6"),
        ("The answer is $5$", "$5$"),
        ("So $x=5$.", None),  # no word "answer" before it
        (r"Answer: \(5\)", r"\(5\)"),
        (r"The answer is \[5\]", r"\[5\]"),
        (r"The answer is \frac{1}{2}.", r"\frac{1}{2}"),
        ("The answers are $2$ and $3$.", "$2$ and $3$"),
        ("The answer is $2$. No, the answer is $3$.", "$3$"),
        ("The final answer is: $5$. Another answer: $6$", "$5$"),
        ("The answer is [5] there", None),
        ("The answer is $5", None),
        ("answer" + " " * 60 + "$5$", None),
        (r"\boxed{1} and \boxed{2}", "1, 2"),
        (r"\boxed{1} or \boxed{2}", "1, 2"),
        (r"$\boxed{1}$, $\boxed{2}$ and $\boxed{3}$", "1, 2, 3"),
        (r"\boxed{5}. \boxed{5}", "5"),
        (r"\boxed{1} so \boxed{2}", "2"),
        (r"\boxed{4, \boxed{5}}", "4, 5"),  # the outermost box
        (r"\boxed{\boxed{5}, 6}", "5, 6"),
        (r"\boxed{1} and \boxed{\boxed{2}}", "1, 2"),
        (r"\boxed{4 \boxed{5}", "5"),
        (r"\boxed 5.", "5"),
        (r"\fbox{5}", "5"),
        ("<answer>The answer is 5</answer>", "5"),
        ("<answer>Therefore $x = 5$.</answer>", "$x = 5$"),
        ("<answer>The answer is not $5$</answer>", "The answer is not $5$"),
        ("<answer>B) the result is $5$</answer>", "B) the result is $5$"),
    ],
)
def test_the_order_of_places(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (12, "12"),
        (0.5, "0.5"),
        ("12", "12"),
        (r"so \boxed{12}", "12"),
        ("<answer>12</answer>", "12"),
        ("3 + 5 = 8\n#### 8", "8"),
        ("#### 1,234 ", "1,234"),
        ("The answer is 5.", "5"),
        (r"The answer is \frac{1}{2}.", r"\frac{1}{2}"),
        ("Tom has 3 apples and 5 pears, that makes 8 fruits.", "8"),
        ("5 square meters", "5"),
        ("We get $\\frac{1}{2}$ in the end.", "We get $\\frac{1}{2}$ in the end."),  # math-verify finds it
        (r"5 \text{ cubic centimeters}", r"5 \text{ cubic centimeters}"),
        ("2 sin x + 3 cos x", "2 sin x + 3 cos x"),
        ("3 or 4", "3 or 4"),
        ("New York", "New York"),
        ("", ""),
    ],
)
def test_the_answer_of_a_gold_solution(gold: object, answer: str) -> None:
    assert gold_answer(gold) == answer


@pytest.mark.parametrize(
    "piece", [r"\boxed{", "answer $", r"answer \[", r"answer \(", "final answer is $", "{", "<answer>", "$"]
)
def test_long_texts_take_no_more_than_linear_time(piece: str) -> None:
    began = time.process_time()
    final_answer(piece * (100_000 // len(piece)))
    assert time.process_time() - began < 2
