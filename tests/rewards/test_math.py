"""`accuracy` against tables made by hand, and against whatever a model may write."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1lab.rewards.answers import final_answer, last_boxed
from r1lab.rewards.math import accuracy, equal
from r1lab.rewards.notation import plain_number
from r1lab.rewards.pool import PATIENCE, SECONDS, Pool


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
    ("answer", "gold", "verdict"),
    [
        ("12", "12", True),
        ("12", "13", False),
        ("+12", "12", True),
        ("-12", "12", False),
        ("-12", "-12", True),
        ("1,234", "1234", True),
        ("1,23", "123", False),  # no thousands
        ("$1234$", "1234", True),
        ("12.0", "12", True),
        ("12.", "12", True),
        ("0012", "12", True),
        ("0.1", "0.10", True),
        (".5", "0.5", True),
        ("12.0000000001", "12", False),
        ("9" * 300, "9" * 300, True),
        ("9" * 300, "9" * 299 + "8", False),
        ("9" * 5000, "12", False),
        (r"\frac{1}{2}", "0.5", True),
        (r"\dfrac{3}{4}", "3/4", True),
        (r"-\frac{1}{2}", "-0.5", True),
        (r"\frac12", r"\frac{2}{4}", True),
        (r"2\sqrt{2}", r"\sqrt{8}", True),
        (r"\sqrt{2}", r"\sqrt{3}", False),
        ("x^2+2x+1", "(x+1)^2", True),
        (r"\{1, 2\}", r"\{2, 1\}", True),
        ("(1, 2)", "(2, 1)", False),
        ("x = 5", "5", True),
        ("12 or 13", "12", False),  # hedging is wrong
        ("$12$ or $13$", "12", False),
        ("12, 13", "12", False),
        ("the answer is 12", "12", False),
        ("", "12", False),
        ("twelve", "12", False),
        (None, "12", False),
        (None, r"\frac{1}{2}", False),
        ("1" * 3000, r"\frac{1}{2}", False),
        ("12", "", None),  # a gold answer that cannot be read
        ("12", "$$", None),
        ("", "", None),
        (None, r"\boxed{", None),
    ],
)
def test_equal(answer: str | None, gold: str, verdict: bool | None) -> None:
    assert equal(answer, gold) is verdict


def test_accuracy_scores_each_completion_and_skips_what_cannot_be_verified() -> None:
    completions = [r"\boxed{12}", "<answer>12</answer>", "12", r"\boxed{13}", r"\boxed{12}", r"\boxed{0.5}", ""]
    gold = ["12", r"so it is \boxed{12}", "12", "12", None, r"We get $\frac{1}{2}$.", ""]
    assert accuracy(completions, gold) == [1.0, 1.0, 0.0, 0.0, None, 1.0, None]


def test_a_gold_answer_scores_full_marks_in_a_box_and_in_a_block() -> None:
    for gold in ("7", "-3,000", r"\frac{\pi}{2}", r"x \in (0, 1]", r"\begin{pmatrix}1\\2\end{pmatrix}", "3x+1"):
        assert accuracy([rf"\boxed{{{gold}}}", f"<answer>{gold}</answer>"], [gold, gold]) == [1.0, 1.0], gold


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """A pool that gives up ten times earlier, in the place of the usual one."""
    made = Pool(2, SECONDS / 10)
    assert made.judge([("x", "x")]) == [True]
    monkeypatch.setattr("r1lab.rewards.math.pool", lambda _workers=None: made)
    yield made
    made.close()


NASTY = [
    "9**9**9",
    "9^{9^{9}}",
    r"\binom{1000000000}{500000000}",
    r"\sin(10^{10^{6}})",
    "100000!",
    "2^{100000000}",
    "{" * 100_000,
    r"\boxed{" * 15_000,
    "<answer>" * 12_000,
    r"\frac{" * 300,
    "(" * 1900,
    "9" * 1900,
    "1/0",
    "1e999999999",
    "\x00",
    "\ud800",
    "½ ² ٣",
    "\\",
    "$",
]


@pytest.mark.parametrize("nasty", NASTY, ids=[text[:12].encode("unicode_escape").decode() for text in NASTY])
def test_nothing_that_is_written_hangs_or_raises(nasty: str, impatient: Pool) -> None:
    texts = [nasty, rf"\boxed{{{nasty}}}"]
    began = time.monotonic()
    scores = accuracy(texts, [r"\frac{1}{2}"] * 2)
    scores += accuracy([r"\boxed{\frac{1}{2}}"], [nasty])
    assert time.monotonic() - began < 3 * impatient.seconds * PATIENCE
    assert all(score in (0.0, None) for score in scores)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text() | st.text(alphabet=r"\boxed{}<answer>/$0123456789^_.,- frac", max_size=60), st.text(max_size=20))
def test_any_text_gets_a_verdict(text: str, gold: str) -> None:
    (score,) = accuracy([text], [gold])
    assert score is None or score in (0.0, 1.0)
    last_boxed(text)
    plain_number(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**12), max_value=10**12))
def test_plain_numbers_are_exact(number: object) -> None:
    text = f"{number:,}"
    value = plain_number(text)
    assert value is not None and f"{float(value):.3f}" == f"{number:.3f}"
    assert equal(text, str(number)) is True


def test_comparing_works_off_the_main_thread() -> None:
    found: list[bool | None] = []

    def compare() -> None:
        found.extend([equal(r"\frac{1}{2}", "0.5"), equal(r"\frac{1}{3}", "0.5"), equal("x", "$$")])

    threads = [threading.Thread(target=compare) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [True, False, None] * 3


@pytest.mark.parametrize(
    ("completion", "gold", "score"),
    [
        ("<answer>1753=1763</answer>", "1763", 0.0),  # an equation is two answers
        ("<answer>$1753$ $1763$</answer>", "1763", 0.0),
        (r"\boxed{6=5}", "5", 0.0),
        (r"\boxed{x=1=2=3}", "3", 0.0),
        ("<answer>896+867</answer>", "1763", 0.0),  # a sum left to the reader
        ("<answer>10-5</answer>", "5", 0.0),
        (r"<think>\boxed{6}</think><answer>5</answer>", "6", 0.0),  # thinking is not answering
        (r"<think>\boxed{6}</think><answer>5</answer>", "5", 1.0),
        ("<answer>listen</answer>", "silent", 0.0),  # a word is not a product of letters
        ("<answer>paris</answer>", "Paris", 1.0),
        ("<answer>9^{9^{9^9}}</answer>", "7", 0.0),  # too slow to compare: wrong, since the gold can be read
        (r"\boxed{\frac{10}{2}}", "5", 1.0),
        ("<answer>1/2</answer>", "0.5", 1.0),
        (r"\boxed{x=5}", "5", 1.0),
        (r"\boxed{2^{10}}", "1024", 1.0),
        (r"\boxed{x^2+1}", "1+x^2", 1.0),
    ],
)
def test_an_answer_that_hedges_is_wrong(completion: str, gold: str, score: float) -> None:
    assert accuracy([completion], [gold]) == [score]
