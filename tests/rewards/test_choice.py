"""`multiple_choice` and `exact` against tables made by hand."""

from __future__ import annotations

import pytest

from r1lab.rewards.choice import exact, letter_of, multiple_choice


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        *((text, "B") for text in ("B", "b", "(B)", "[B]", "B.", "B)", " B ", "**B**", "$B$")),
        *((text, "B") for text in (r"\text{B}", r"\textbf{(B)}")),
        *((text, "B") for text in ("B) Paris", "B: Paris", "(B) a large city", "B. A cat", "option B", "Answer: B")),
        *((text, "B") for text in ("The answer is B", "the correct answer is (B).", "Choice B", "B. I'm sure")),
        ("A) A dog", "A"),
        *((text, "A") for text in ("(A) Vitamin C", "A. Plan B", "A - Paris", "A. Vitamin C.")),
        *((text, None) for text in ("A, b, c, d", "A), (b), (c), (d)", "A) or else it is b)")),
        *((text, None) for text in ("A - B", "A. B", "A. Maybe C", "A) not B")),
        ("E", None),
        ("", None),
        ("Paris", None),
        ("A or B", None),
        ("A, B", None),
        ("B, A", None),
        ("(A) and (B)", None),
        ("A) no, B)", None),
        ("BB", None),
        ("a cat", None),
        ("4", None),
        ("B" * 3000, None),
    ],
)  # fmt: skip
def test_the_letter_of_an_answer(answer: str, letter: str | None) -> None:
    assert letter_of(answer, "ABCD") == letter


def test_multiple_choice() -> None:
    texts = [
        "<answer>\nB\n</answer>",
        r"So \boxed{C}",
        "B",
        "<think>B</think>",
        r"\boxed{A} or \boxed{B}",
        r"\boxed{E}",
    ]
    assert multiple_choice(texts, ["B"] * 6) == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert multiple_choice([r"\boxed{B}"] * 6, ["(B)", "b", r"\boxed{B}", "B) Paris", "Paris", None]) == [
        *[1.0] * 4,
        None,
        None,
    ]
    assert multiple_choice([r"\boxed{E}"], ["E"]) == [None]
    assert multiple_choice([r"\boxed{E}"], ["E"], letters="ABCDE") == [1.0]


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        ("Paris", "paris", 1.0),
        (" New   York ", "New York", 1.0),
        (r"\text{New York}", "New York", 1.0),
        ("London", "Paris", 0.0),
        ("1,234.0", "1234", 1.0),
        ("1e3", 1000, 1.0),
        ("$7$", 7, 1.0),
        ("0.5", 0.5, 1.0),
        ("1/2", "0.5", 0.0),
        ("1/2", "1/2", 1.0),
        ("x+1", "1+x", 0.0),
        ("8", "work\n#### 8", 1.0),
        ("anything", None, None),
        ("anything", "", None),
    ],
)
def test_exact(answer: str, gold: str | float | None, score: float | None) -> None:
    assert exact([rf"\boxed{{{answer}}}"], [gold]) == [score]
    assert exact([f"<answer>\n{answer}\n</answer>"], [gold]) == [score]
    assert exact([answer], [gold]) == [None if score is None else 0.0]


def test_exact_may_mind_the_case() -> None:
    assert exact([r"\boxed{paris}", r"\boxed{Paris}"], ["Paris"] * 2, ignore_case=False) == [0.0, 1.0]
