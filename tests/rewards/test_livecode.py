"""LiveCodeBench's judge: tests by stdin and by a method's call, packed ones among them."""

from __future__ import annotations

import base64
import json
import pickle
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

from r1lab.rewards.livecode import Unreadable, livecode, read_tests, same_numbers
from tests.lighteval.miniatures import packed

LOCAL = {"_target_": "r1lab.sandbox.local.LocalSandbox", "workers": 2}
needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


def judge(program: str, tests: list[tuple[str, str]], call: str = "") -> Any:
    kind = "functional" if call else "stdin"
    public = json.dumps([{"input": tests[0][0], "output": tests[0][1], "testtype": kind}])
    about = json.dumps({"func_name": call} if call else {})
    text = f"Here:\n```python\n{program}\n```"
    return livecode([text], [public], [packed(tests[1:], kind)], [about], sandbox=LOCAL)[0]


@needs_bwrap
@pytest.mark.parametrize(
    "program, tests, right",
    [
        ("print(int(input()) * 2)", [("2", "4"), ("3", "6\n")], 1.0),
        ("n = int(input())\nprint(4)", [("2", "4"), ("3", "6")], 0.0),  # right on the public test alone
        ("print(float(input()))", [("2", "2"), ("0.5", "0.50")], 1.0),  # the same numbers
        ("print(1 / 3)", [("", "0.3333")], 0.0),
        ("print(input(), 'extra')", [("yes", "yes")], 0.0),
        ("from __future__ import annotations\nprint(input())", [("a", "a")], 1.0),
        ("print(gcd(int(input()), 4), len(Counter('ab')))", [("6", "2 2")], 1.0),  # what its runner has imported
        ("while True: pass", [("1", "1")], 0.0),
        ("import sys; sys.exit(0)", [("1", "1")], 0.0),
    ],
)
def test_programs_that_read_stdin(program: str, tests: list[tuple[str, str]], right: float) -> None:
    assert judge(program, tests) == right


@needs_bwrap
@pytest.mark.parametrize(
    "body, tests, right",
    [
        ("return [n, n]", [("2", "[2,2]"), ("3", "[3, 3]")], 1.0),
        ("print('said'); return (n, n)", [("2", "[2, 2]")], 1.0),  # a tuple is a list, and printing does no harm
        ("return n == 2", [("2", "true"), ("3", "false")], 1.0),
        ("return 2", [("2", "2"), ("3", "3")], 0.0),
        ("return 1 / 0", [("2", "2")], 0.0),
        ("return None", [("2", "2")], 0.0),
        ("return {1, 2}", [("2", "[1, 2]")], 0.0),
    ],
)
def test_methods_that_are_called(body: str, tests: list[tuple[str, str]], right: float) -> None:
    program = f"class Solution:\n    def f(self, n: int):\n        {body}"
    assert judge(program, tests, "f") == right


@needs_bwrap
def test_no_program_is_wrong_and_no_tests_are_no_verdict() -> None:
    good = json.dumps([{"input": "1", "output": "1", "testtype": "stdin"}])
    columns = {"public_test_cases": [good, "[]", "no json"], "private_test_cases": ["[]"] * 3, "metadata": ["{}"] * 3}
    assert livecode(["no code", "```python\n1\n```", "```python\n1\n```"], **columns, sandbox=LOCAL) == [
        0.0,
        None,
        None,
    ]


class Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("/tmp/evaluation-was-here"),)


def test_packed_tests_are_text_and_run_nothing() -> None:
    evil = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    with pytest.raises(Unreadable, match="packed tests name"):
        read_tests("[]", evil, "{}")
    assert not Path("/tmp/evaluation-was-here").exists()
    for broken in ("%%%", base64.b64encode(b"x").decode(), None, 5, '{"input": 1}', '[{"input": "1"}]'):
        with pytest.raises(Unreadable):
            read_tests("[]", broken, "{}")


def test_kinds_of_tests_do_not_mix() -> None:
    stdin = [{"input": "1", "output": "1", "testtype": "stdin"}]
    called = [{"input": "1", "output": "1", "testtype": "functional"}]
    with pytest.raises(Unreadable):
        read_tests(stdin, called, {"func_name": "f"})
    with pytest.raises(Unreadable):
        read_tests(called, [], {})
    assert read_tests(called, [], {"func_name": "f"})[0] == "f" and read_tests(stdin, stdin, None)[0] is None


@pytest.mark.parametrize(
    "one, other, same", [("1.0\n2", "1\n2.00", True), ("1 2", "1\n2", False), ("a", "a", False), ("nan", "nan", False)]
)
def test_numbers_are_compared_by_value(one: str, other: str, same: bool) -> None:
    assert same_numbers(one, other) is same
