"""Programs, judged by running them on tests in a sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from r1lab.errors import ConfigError
from r1lab.rewards.base import Failure, Mark
from r1lab.sandbox import Sandbox, shared
from r1lab.sandbox.base import Outcome, Program, Test, Verdict
from r1lab.sandbox.languages import BY_NAME

STDIN = "stdin_stdout"  # the one kind of test that data sets of this kind have
ENOUGH = 0.99  # more than this share of tests passed makes a program right
FENCE = "```"
TEST_KEYS = {"input", "output"}
T = TypeVar("T")
Case = tuple[str, str | None, tuple[Test, ...]]


def code(
    completions: list[str],
    verification_info: list[Mapping[str, Any] | str | None],
    *,
    sandbox: Mapping[str, Any] | str,
    num_parallel: int = 2,
) -> list[Mark]:
    """The share of test cases that the program in a completion passes; None where a row has no test to run.

    The program is the last fenced block of the row's language. No such block: 0. A test is passed where the output
    agrees with the expected one line by line, outer white space aside; a test that crashes or takes too long is not,
    and the others count all the same.

    Args:
        completions: (B,) texts.
        verification_info: (B,) `{language, test_cases: [{input, output, type}]}`, or that as JSON.
        sandbox: the config of the sandbox; its limits hold for each test (5 s of processor time).
        num_parallel: programs judged at once.
    """
    return _judged(completions, verification_info, sandbox, num_parallel, stop=False)


def binary_code(
    completions: list[str],
    verification_info: list[Mapping[str, Any] | str | None],
    *,
    sandbox: Mapping[str, Any] | str,
    num_parallel: int = 2,
) -> list[Mark]:
    """1 where more than 99 % of the test cases are passed, else 0; otherwise as `code`, but it stops at a failure."""
    marks = _judged(completions, verification_info, sandbox, num_parallel, stop=True)
    return [float(mark > ENOUGH) if isinstance(mark, float) else mark for mark in marks]


def last_block(text: str, language: str) -> str | None:
    """The content of the last fenced block of a language (```python … ```); None where there is none, or it is open.

    The fence may say any name of the language, in any case: py, Python, cpp for c++.
    """
    known = BY_NAME.get(language.strip().lower())
    names = (known.name, *known.aliases) if known else (language,)
    tag = "|".join(re.escape(name) for name in sorted({language, *names}, key=len, reverse=True))
    found = re.findall(rf"{FENCE}(?:{tag})[ \t]*\r?\n(.*?){FENCE}", text, re.DOTALL | re.IGNORECASE)
    return found[-1] if found else None


def _judged(
    completions: Sequence[str], infos: Sequence[Any], sandbox: Mapping[str, Any] | str, parallel: int, *, stop: bool
) -> list[Mark]:
    runner = shared(sandbox)
    cases = [_case(text, info) for text, info in zip(completions, infos, strict=True)]
    distinct = list(dict.fromkeys(cases))
    marks = dict(zip(distinct, spread(lambda case: _share(runner, case, stop), distinct, parallel), strict=True))
    return [marks[case] for case in cases]


def parsed(info: Any) -> Mapping[str, Any]:
    """A row's `verification_info`, which may be JSON; empty where it cannot be read."""
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except (json.JSONDecodeError, RecursionError):
            info = None
    return info if isinstance(info, Mapping) else {}


def _case(text: str, given: Any) -> Case:
    """The row's language, the program in a completion, and the tests: none where the row cannot be verified."""
    info = parsed(given)
    listed = info.get("test_cases")
    listed = listed if isinstance(listed, list | tuple) else []
    if not all(isinstance(case, Mapping) and case.keys() >= TEST_KEYS for case in listed):
        listed = []
    if not all(case.get("type", STDIN) == STDIN for case in listed):
        listed = []
    if any(case["output"] is None for case in listed):
        listed = []
    tests = tuple(Test("" if case["input"] is None else str(case["input"]), str(case["output"])) for case in listed)
    language = str(info.get("language") or "python")
    source = last_block(text, language)
    return language, source if source and source.strip() else None, tests


def _share(runner: Sandbox, case: Case, stop: bool) -> Mark:
    language, source, tests = case
    if not tests:
        return None
    if language.strip().lower() not in BY_NAME:
        return Failure(f"no sandbox runs {language!r}")
    if source is None:
        return 0.0
    one_is_enough = stop and (len(tests) - 1) / len(tests) <= ENOUGH
    try:
        outcomes = runner.run(Program(language, source), tests, stop_at_failure=one_is_enough)
    except ConfigError as error:  # this row's language is not to be had here; others may be
        return Failure(error.findings[0].what)
    return failed(outcomes) or sum(outcome.passed for outcome in outcomes) / len(tests)


def failed(outcomes: Iterable[Outcome]) -> Failure | None:
    """The failure of the sandbox among outcomes, if there is one."""
    for outcome in outcomes:
        if outcome.verdict is Verdict.INFRASTRUCTURE:
            return Failure(outcome.detail.split("\n")[0] or "the sandbox failed")
    return None


def spread(judge: Callable[[T], Mark], cases: Sequence[T], parallel: int) -> list[Mark]:
    """The marks of cases, judged in threads, in their order."""
    with ThreadPoolExecutor(max(1, parallel)) as threads:
        return list(threads.map(judge, cases))
