"""`accuracy` against tables made by hand, and against whatever a model may write."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1lab.errors import RewardError
from r1lab.rewards import Failure, load
from r1lab.rewards.answers import last_boxed
from r1lab.rewards.math import accuracy, equal
from r1lab.rewards.notation import plain_number
from r1lab.rewards.pool import SECONDS, Pool


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


@pytest.fixture(scope="module")
def pair() -> Iterator[Pool]:
    made = Pool(2, SECONDS / 10)
    assert made.judge([("x", "x")]) == [True]
    yield made
    made.close()


@pytest.fixture
def impatient(pair: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that gives up ten times earlier, in the place of the usual one."""
    monkeypatch.setattr("r1lab.rewards.math.pool", lambda _workers=None: pair)


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
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("impatient")
def test_nothing_that_is_written_hangs_or_raises(nasty: str) -> None:
    texts = [nasty, rf"\boxed{{{nasty}}}"]
    scores = accuracy(texts, [r"\frac{1}{2}"] * 2)
    scores += accuracy([r"\boxed{\frac{1}{2}}"], [nasty])
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


@pytest.mark.parametrize(
    ("answer", "gold", "verdict"),
    [
        ("1e3", "1000", True),
        ("1000", "1e3", True),
        ("10^3", "1e3", True),
        ("1", "1e3", False),
        ("½", "0.5", True),
        ("1½", "1.5", True),
        ("0.333333", r"\frac{1}{3}", True),
        ("0.3333", r"\frac{1}{3}", False),
        ("0.000333", r"\frac{1}{3000}", False),
        ("0.0000002", "10^{-7}", False),
        ("1.414214", r"\sqrt{2}", True),
        (r"50\%", "0.5", True),
        (r"50\%", "50", True),
        ("50", r"50\%", True),
        (r"12.5\%", "12.5", True),
        (r"\frac{1}{2}", r"50\%", True),
        (r"50\%", "5000", False),
        (r"5\%", r"50\%", False),
        ("5 km", "5 m", False),
        ("5 cm", "5", True),
        (r"5\text{ cm}", "5 centimeters", True),
        (r"5\text{ cm}^2", r"5\text{ cm}", False),
        (r"\frac{5}{2}\text{ cm}", "2.5 cm", True),
        ("(1,2)", r"\{1,2\}", False),
        (r"\{1,2\}", "(1,2)", False),
        ("1,2", "(1,2)", True),
        ("1, 2", r"\{2, 1\}", True),
        (r"\{2, 1, 2\}", r"\{1, 2\}", True),
        (r"(0.5, 1)", r"(\frac{1}{2}, 1)", True),
        ("[0,1)", "[0,1]", False),
        ("2=2", "1=1", False),
        ("1=1", "1=1", True),
        ("2x=2y", "x=y", True),
        ("x=5", "x=5", True),
        ("5", "x=5", True),
        ("y=5", "x=5", False),
        ("3+4=7", "7", True),
        ("3+4=8", "8", False),
        ("a+1=2", "2", True),
        ("2+3", "2+3", True),
        ("$2$ and $3$", "2, 3", True),
        ("12, 13", "12", False),
        (r"1.5 \times 10^3", "1500", True),
        ("x ≤ 3", r"x \le 3", True),
        (r"\frac{3\pi}{2}", r"1.5\pi", True),
        (r"\frac{3\pi}{2}", r"\frac{3}{2}\pi", True),
        (r"\frac{3\pi}{2}", r"-\frac{3}{2}\pi", False),
        (r"2\sqrt{3}", r"\sqrt{12}", True),
        (r"-2\sqrt{3}", r"\sqrt{12}", False),
        (r"\frac{\sqrt{12}}{4}", r"\frac{\sqrt{3}}{2}", True),
        (r"\frac{\sqrt{3}}{0}", r"\frac{\sqrt{3}}{2}", False),
        (r"\sqrt{4}", "2", True),
        ("?", "5", False),
        ("5", "?", None),
        ("5", "\x00", None),
    ],
)
def test_what_is_written_otherwise(answer: str, gold: str, verdict: bool | None) -> None:
    assert equal(answer, gold) is verdict


def test_a_failure_of_the_machinery_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    broken = Pool(1)
    monkeypatch.setattr("r1lab.rewards.math.pool", lambda _workers=None: broken)
    texts, golds = [r"\boxed{x}", r"\boxed{y}", r"\boxed{5}", "no answer"], ["x^2", "x^2", "5", "5"]
    marks = accuracy(texts, golds)
    assert [isinstance(mark, Failure) for mark in marks] == [True, True, False, False] and marks[2:] == [1.0, 0.0]
    assert load("accuracy")(texts, solution=golds) == [None, None, 1.0, 0.0]
    with pytest.raises(RewardError, match=r"reward accuracy: 67% of 3 .* math-verify's process does not start"):
        load("accuracy")(texts[:3], solution=golds[:3])
