"""Stored completions with the verdict that a person gives, and what an evaluator says otherwise, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

DOUBLE = "n = int(input())\nprint(n * 2)"
LINES = "n = int(input())\nfor i in range(1, n + 1):\n    print(i)"
TRIPLE = "n = int(input())\nprint(n, n, n)"
SQUARE = "class Solution:\n    def square(self, n: int) -> int:\n        return n * n"


@dataclass(frozen=True)
class Stored:
    """One completion.

    Attributes:
        text: the completion.
        right: whether its final answer is the gold one; None where the server gives none, as its context is too short.
        native, lighteval: what each says, where that is otherwise.
        why: the reason for that.
    """

    text: str
    right: bool | None
    native: bool | None = None
    lighteval: bool | None = None
    why: str = ""

    @property
    def ours(self) -> bool | None:
        """native's verdict."""
        return self.right if self.native is None else self.native

    @property
    def theirs(self) -> bool | None:
        """lighteval's verdict."""
        return self.right if self.lighteval is None else self.lighteval


def boxed(answer: str) -> str:
    """A worked text with its answer in a box."""
    return f"<think>\nFirst I try \\(x = 7\\), then I look again.\n</think>\nThe answer is $\\boxed{{{answer}}}$."


def fenced(source: str) -> str:
    """A worked text with its program in a block."""
    return f"<think>\nI loop.\n</think>\nHere it is:\n\n```python\n{source}\n```\n"


AIME = [
    [
        Stored(boxed("42"), True),
        Stored(boxed("43"), False),
        Stored("I do not know.", False),
        Stored(boxed("042"), True),
    ],
    [Stored(boxed("64"), True), Stored(boxed("8^2"), True), Stored(boxed("64.0"), True), Stored(boxed("46"), False)],
    [Stored(boxed("12"), False), Stored(boxed("20"), False), Stored(boxed("-120"), False), Stored(boxed("120"), True)],
    [Stored("", None)] * 4,
    [
        Stored(boxed("7"), True),
        Stored("<answer>7</answer>", True, lighteval=False, why="a number between tags on one line is not found"),
        Stored("So it may well be 7.", True, native=False, why="it is marked as the answer by nothing"),
        Stored(boxed("49"), False),
    ],
]
MATH = [
    [
        Stored(boxed(r"\frac{1}{2}"), True),
        Stored(boxed("0.5"), True),
        Stored(boxed(r"\dfrac12"), True),
        Stored(boxed(r"\frac{2}{3}"), False),
    ],
    [
        Stored(boxed(r"2\sqrt{13}"), True),
        Stored(boxed(r"\sqrt{52}"), True),
        Stored(boxed(r"13\sqrt{2}"), False),
        Stored("The diagonal is long.", False),
    ],
    [
        Stored(boxed(r"(3, \frac{\pi}{2})"), True),
        Stored(boxed(r"\left(3, \pi/2\right)"), True),
        Stored(boxed(r"(\frac{\pi}{2}, 3)"), False),
        Stored(boxed("3"), False),
    ],
    [
        Stored(boxed("x^2+3x+2"), True),
        Stored(boxed("2 + 3x + x^2"), True),
        Stored(boxed("x^2+2x+3"), False),
        Stored(boxed("x^2+3x"), False),
    ],
    [
        Stored(boxed(r"(2,\infty)"), True),
        Stored(boxed(r"[2,\infty)"), False),
        Stored(boxed(r"(-\infty, 2)"), False),
        Stored("All of them.", False),
    ],
    [
        Stored(boxed(r"\text{Eve}"), True),
        Stored(boxed("Eve"), True),
        Stored(boxed(r"\text{Bob}"), False),
        Stored(boxed("Ann"), False),
    ],
    [
        Stored(boxed(r"10\%"), True),
        Stored(boxed("10"), True, lighteval=False, why="the gold answer 10% is read as 1/10, and 10 is not that"),
        Stored(boxed(r"5\%"), False),
        Stored(boxed("50"), False),
    ],
    [
        Stored(boxed("900"), True),
        Stored(boxed("15"), False),
        Stored("<think>\nSixty times fifteen.\n</think>\n<answer>\n900\n</answer>", True),
        Stored("<think>\nIs it \\boxed{900}?\n</think>\nIt is $\\boxed{60}$.", False),
    ],
]
CHOICES = [  # GOLD is the letter of the right choice, OTHER of a wrong one
    [
        Stored("I compare them.\n\nAnswer: GOLD", True, native=False, why="the prompt asks for a box"),
        Stored(boxed("GOLD"), True),
        Stored("Answer: OTHER", False),
        Stored("I cannot tell.", False),
    ],
    [
        Stored(boxed("OTHER"), False),
        Stored(boxed("(GOLD)"), True),
        Stored("<answer>\nGOLD\n</answer>", True),
        Stored(boxed(r"\text{GOLD}"), True),
    ],
    [
        Stored(boxed("OTHER"), False),
        Stored("Answer: OTHER", False),
        Stored(boxed("GOLD or OTHER"), False),
        Stored(boxed("GOLD"), True),
    ],
]
CODE = [
    [
        Stored(fenced(DOUBLE), True),
        Stored(fenced("print(int(input()) * 3)"), False),
        Stored(fenced("print(2 * int(input()))"), True),
        Stored("Multiply it by two.", False),
    ],
    [
        Stored(fenced(LINES), True),
        Stored(fenced("print(1)"), False),
        Stored(fenced(f"{LINES}\nprint('done')"), False),
        Stored(fenced("for i in range(1, int(input()) + 1): print(i, end=' ')"), False),
    ],
    [
        Stored(fenced(TRIPLE), True),
        Stored(
            f"Here it is:\n\n```\n{TRIPLE}\n```\n", True, native=False, why="the block does not say that it is Python"
        ),
        Stored(fenced("n = int(input())\nprint(n * 3)"), False),
        Stored(fenced(TRIPLE.replace("int(input", "float(input")), True),
    ],
    [
        Stored(fenced(SQUARE), True),
        Stored(fenced(SQUARE.replace("n * n", "n + n")), False),
        Stored(fenced(SQUARE.replace("square", "cube")), False),
        Stored(fenced("def square(n:"), False),
    ],
]
STORED = {"aime24": AIME, "math-500": MATH, "gpqa-diamond": CHOICES, "lcb": CODE}
SAMPLES = 4
