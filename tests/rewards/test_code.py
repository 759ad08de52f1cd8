"""code and binary_code, against programs whose share of passed tests is counted by hand."""

from __future__ import annotations

import json
import shutil

import pytest

from r1lab.errors import ConfigError
from r1lab.rewards import Failure, load
from r1lab.rewards.code import code, last_block
from r1lab.sandbox import shared
from r1lab.sandbox.base import Outcome, Verdict

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")

LOCAL = {"_target_": "r1lab.sandbox.local.LocalSandbox", "limits": {"seconds": 1.0, "wall_seconds": 3.0}}
DOUBLE = [{"input": str(n), "output": str(2 * n), "type": "stdin_stdout"} for n in (1, 2, 3, 4)]


def fenced(source: str, language: str = "python") -> str:
    return f"<think>\nsome thought\n</think>\n<answer>\n```{language}\n{source}\n```\n</answer>"


def info(cases=DOUBLE, language="python"):
    return {"language": language, "test_cases": cases}


@pytest.mark.parametrize(
    ("source", "share"),
    [
        ("print(2 * int(input()))", 1.0),
        ("print(2 * int(input()), end='')", 1.0),
        ("print(2 * int(input()), '\\n\\n')", 1.0),  # outer white space of lines and of the whole
        ("n = int(input())\nprint(2 * n if n % 2 else n)", 0.5),
        ("n = int(input())\nassert n < 4\nprint(2 * n)", 0.75),  # one crash costs one test
        ("n = int(input())\nwhile n == 2: pass\nprint(2 * n)", 0.75),  # so does one time-out
        ("print(2 * int(input()))\nprint('more')", 0.0),  # extra lines
        ("pass", 0.0),
        ("print(2 * int(input())", 0.0),  # does not parse
        ("", 0.0),
    ],
)
def test_share_of_tests_passed(source, share):
    assert code([fenced(source)], [info()], sandbox=LOCAL) == [share]


def test_a_prefix_of_the_expected_output_is_wrong():
    cases = [{"input": "", "output": "1\n2\n3", "type": "stdin_stdout"}]
    texts = [
        fenced("print(1)"),
        fenced("print(1)\nprint(2)\nprint(3)"),
        fenced("print(1)\nprint(2)\nprint(3)\nprint(4)"),
    ]
    assert code(texts, [info(cases)] * 3, sandbox=LOCAL) == [0.0, 1.0, 0.0]


def test_binary_needs_more_than_99_percent():
    many = [{"input": str(n), "output": str(2 * n), "type": "stdin_stdout"} for n in range(101)]
    binary = load("binary_code", num_parallel=2)
    one_wrong = "n = int(input())\nprint(2 * n if n else 7)"
    right = "print(2 * int(input()))"
    texts = [fenced(one_wrong), fenced(right), fenced(one_wrong)]
    assert binary(texts, verification_info=[info(many), info(many), info(many[:100])]) == [1.0, 1.0, 0.0]


def test_language_of_the_row():
    cpp = "#include <iostream>\nint main() { int n; std::cin >> n; std::cout << 2 * n; }"
    js = "console.log(2 * Number(require('fs').readFileSync(0, 'utf8')))"
    texts = [fenced(cpp, "cpp"), fenced(js, "javascript"), fenced("print(2 * int(input()))", "cpp"), fenced(cpp)]
    infos = [info(language="cpp"), info(language="javascript"), info(language="cpp"), info(language="cpp")]
    assert code(texts, infos, sandbox=LOCAL) == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "row",
    [
        None,
        info([{"in": "1", "out": "2"}]),
        info([{"input": "1"}]),
        "",
        "no json",
        "[1]",
        {},
        {"language": "python"},
        info([]),
        info([{"input": "1", "type": "call"}]),
    ],
)
def test_rows_without_a_test_are_skipped(row):
    assert code([fenced("print(1)")], [row], sandbox=LOCAL) == [None]


def test_a_language_that_is_not_to_be_had_costs_its_row_alone():
    texts = [fenced("x", "cobol"), "no block", fenced("print(2 * int(input()))")]
    marks = code(texts, [info(language="cobol"), info(language="cobol"), info()], sandbox=LOCAL)
    assert marks == [Failure("no sandbox runs 'cobol'")] * 2 + [1.0]


def test_values_that_are_false_are_values():
    zero = [{"input": 0, "output": 0, "type": "stdin_stdout"}]
    assert code([fenced("print(2 * int(input()))"), fenced("pass")], [info(zero)] * 2, sandbox=LOCAL) == [1.0, 0.0]


def test_sandboxes_by_name():
    assert shared("local") is shared({"name": "local"})
    assert shared({"name": "local", "workers": 3}).workers == 3
    with pytest.raises(ConfigError, match="there is no sandbox 'piton'"):
        shared("piton")


def test_columns_as_json():
    assert code([fenced("print(2 * int(input()))")], [json.dumps(info())], sandbox=LOCAL) == [1.0]


def test_a_sandbox_that_fails_is_no_wrong_answer(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    broken = {**LOCAL, "workers": 1, "tree": "watcher"}
    try:
        (mark,) = code([fenced("print(2 * int(input()))")], [info()], sandbox=broken)
    finally:
        shared(broken).close()
    assert isinstance(mark, Failure)
    assert "bubblewrap is not installed" in mark.reason


def test_by_hand_through_load():
    reward = load("code")
    right, wrong = fenced("print(2 * int(input()))"), fenced("print(3)")
    assert reward([right, wrong, right], verification_info=[info()] * 3) == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "language", "block"),
    [
        ("```python\na\n```", "python", "a\n"),
        ("```python\na\n``` then ```python\nb\n```", "python", "b\n"),
        ("```py\na\n```", "python", "a\n"),
        ("```Python\na\n```", "python3", "a\n"),
        ("```cpp\na\n```", "C++", "a\n"),
        ("```c\na\n```", "c++", None),
        ("```cobol\na\n```", "cobol", "a\n"),
        ("```python\na", "python", None),
        ("```python \r\na\n```", "python", "a\n"),
        ("```c++\na\n```", "c++", "a\n"),
        ("```\na\n```", "python", None),
        ("", "python", None),
    ],
)
def test_last_block(text, language, block):
    assert last_block(text, language) == block


def test_inside_other_rewards_it_runs_in_their_sandbox():
    elsewhere = {"_target_": "tests.rewards.test_code.Elsewhere"}
    texts = [fenced("print(1)"), "no form at all"]
    gate = load("gate", first="code_format", then="code", sandbox=elsewhere)
    assert gate(texts, verification_info=[info()] * 2) == [1.0, 0.0]
    both = load("weighted_sum", parts={"code": 2.0, "code_format": 0.5}, sandbox=elsewhere)
    assert both(texts, verification_info=[info()] * 2) == [2.5, 0.0]


class Elsewhere:
    """A sandbox in which everything passes."""

    def run(self, submission, tests, limits=None, *, stop_at_failure=False):
        return [Outcome(Verdict.PASSED, 1.0) for _ in tests]
