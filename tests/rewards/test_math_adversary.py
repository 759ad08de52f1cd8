r"""What an adversary found: answers that were paid and must not be, and right ones that were refused."""

from __future__ import annotations

import pytest

from r1lab.rewards import load
from r1lab.rewards.math import accuracy

LARGE = [  # gold, answer, score: beyond what floating point holds
    (r"-1+2^{2024}", r"2^{2024}-1", 1.0),
    ("2^{2024}", "2^{2024}+1", 0.0),
    ("2^{2024}-1", "2^{2023}", 0.0),
    ("1000!", "1000!+1", 0.0),
    (r"3^{2024}\cdot 2", r"2 \cdot 3^{2024}", 1.0),
]
QUESTION = [  # gold, the question in the place of an answer
    ("1763", "896+867=896+867"),
    ("1763", "x=896+867"),
    ("1763", r"896\,+\,867"),
    ("1763", "896{+}867"),
    ("1763", "{896}+{867}"),
    ("1763", r"896\text{ plus }867"),
    ("1763", r"\sqrt{(896+867)^2}"),
    ("776832", r"\left(896\right)\left(867\right)"),
    ("x=1763", "x=896+867"),
    (r"We get $1763$ in the end", "896+867"),
    (r"1763\text{ apples}", "896+867"),
    ("776832", r"896\times 867=896\times 867"),
    ("1763", r"\frac{896+867}{1}"),
    ("1763", r"\frac{896}{1}+867"),
    ("1763", r"\frac12+896+867-\frac12"),
    ("1763", "896--867"),
    ("224", r"896 \div 4"),
    ("224", "896 : 4"),
    ("1/3", r"\int_0^1 x^2\,dx"),
    ("1", r"\lim_{x\to 0}\frac{\sin x}{x}"),
    ("13", r"\gcd(91,65)"),
    ("120", r"\binom{10}{3}"),
    ("9", r"\lfloor\sqrt{99}\rfloor"),
    ("5", r"\max(1,5)"),
    ("5/6", r"\frac12+\frac13"),
    (r"\frac56", r"\frac12+\frac13"),
    ("3x^2", r"\frac{d}{dx}x^3"),
    (r"\frac{x^3}{3}", r"\int x^2 dx"),
    ("-2", r"\det\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    ("-2", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}"),
    ("-2", r"\left|\begin{matrix}1&2\\3&4\end{matrix}\right|"),
    ("10", r"\sum_{k=1}^4 k"),
    ("24", r"\prod_{k=1}^4 k"),
    ("12", r"\operatorname{lcm}(4,6)"),
    ("1", r"\min(1,5)"),
    ("2", r"\lceil 1.5 \rceil"),
    ("(3, 7)", "(1+2, 3+4)"),
    (r"\frac{1}{2}", r"\sin 30^\circ"),
]
FINISHED = [  # gold, the same otherwise written
    ("5", r"\frac{10}{2}"),
    ("1024", "2^{10}"),
    ("120", "5!"),
    ("7", "3+4=7"),
    (r"1+\sqrt2", r"1+\sqrt2"),
    (r"1+\sqrt2", r"\sqrt{2}+1"),
    ("2.5", r"2\frac12"),
    (r"\frac52", r"2\frac12"),
    (r"\frac{1+\sqrt5}{2}", r"\frac{1+\sqrt5}{2}"),
    (r"\frac{1+\sqrt5}{2}", r"\frac{1}{2}+\frac{\sqrt5}{2}"),
    ("x^2+2x", "x^2+2x"),
    ("x^2+2x", "2x+x^2"),
    (r"\frac{\pi}{2}+1", r"1+\frac{\pi}{2}"),
    (r"2\sqrt{3}", r"2\sqrt{3}"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    ("2+3i", "2+3i"),
    ("2+3i", "3i+2"),
    ("-5", "(-5)"),
    ("0.001", "10^{-3}"),
]
WRONG = [
    ("5", r"5\text{ is not the answer, it is 6}"),
    ("5", r"5\text{ apples or }6\text{ pears}"),
    ("5", "5'"),
    ("101_2", "101_3"),
    ("101_2", "101"),
    ("101", "101_2"),
    ("12", "1 2"),
    ("12", r"1\ 2"),
]
RIGHT = [
    ("101_2", "101_{2}"),
    ("1234", r"1\,234"),
    ("1234", "1 234"),
    ("0.0015", r"1.5\cdot 10^{-3}"),
    (r"\frac12", r"50\%"),
    ("1,2", r"x=1 \text{ or } x=2"),
    ("1,2", "x=1 or x=2"),
    ("5", r"{\bf 5}"),
    ("5", r"\mathbf{5}"),
    ("5", r"\underline{5}"),
    ("5", "**5**"),
    ("5", r"5\text{ apples}"),
]
TEXTS = [  # gold, a whole completion, score
    ("5", r"\boxed{4, \boxed{5}}", 0.0),
    ("5", r"\boxed{\boxed{5}, 6}", 0.0),
    ("5", r"\boxed 5", 1.0),
    ("5", r"\fbox{5}", 1.0),
    ("5", "<answer>**5**</answer>", 1.0),
    ("5", "<answer>The answer is 5</answer>", 1.0),
    ("5", "<answer>Answer: 5</answer>", 1.0),
    ("5", "<answer>Therefore $x = 5$.</answer>", 1.0),
    ("5", "<answer>The answer is not $5$.</answer>", 0.0),
    ("5", "<answer>The answer is 5 or 6</answer>", 0.0),
    ("5", "<answer>It is 4, maybe 5</answer>", 0.0),
]
CASES = [
    *((gold, rf"\boxed{{{answer}}}", score) for gold, answer, score in LARGE),
    *((gold, rf"\boxed{{{answer}}}", 0.0) for gold, answer in [*QUESTION, *WRONG]),
    *((gold, rf"\boxed{{{answer}}}", 1.0) for gold, answer in [*FINISHED, *RIGHT]),
    *TEXTS,
]


@pytest.mark.parametrize(("gold", "text", "score"), CASES)
def test_what_an_adversary_found(gold: str, text: str, score: float) -> None:
    assert load("accuracy")([text], solution=[gold]) == [score]


def test_a_gold_answer_that_is_no_text_or_number_is_skipped() -> None:
    golds: list[object] = [[5], {"answer": 5}, 5, None]
    for name, last in (("accuracy", 1.0), ("exact", 1.0), ("multiple_choice", None)):
        assert load(name)([r"\boxed{5}"] * 4, solution=golds) == [None, None, last, None]
    assert accuracy([r"\boxed{5}"], [[5]]) == [None]  # type: ignore[list-item]
