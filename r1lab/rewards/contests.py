"""Programs, judged as the contests judge them: IOI subtasks and Codeforces problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from r1lab.errors import ConfigError, RewardError
from r1lab.rewards.base import Mark
from r1lab.rewards.code import failed, last_block, spread
from r1lab.rewards.contest_tests import generated_tests, ioi_tests
from r1lab.rewards.patches import ioi_includes, patched
from r1lab.sandbox import Sandbox, shared
from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Outcome, Submission, Test, Verdict

PARALLEL = 64  # submissions in hand at once; the sandbox bounds what runs
OUTPUT = 256 << 20  # bytes: some tasks print and read tens of megabytes
NO_CODE, NO_COMPILE = -1.0, -0.1
BONUS = 0.1
Scoring = Literal["pass_fail", "partial", "weighted_sum"]
IOI_TESTS = "open-r1/ioi-test-cases"


def ioi_code(
    completions: list[str],
    id: list[str],
    test_names: list[Sequence[str]],
    grader_files: list[Any],
    time_limit: list[float],
    memory_limit: list[float],
    test_cases: list[Any] | None = None,
    year: list[int] | None = None,
    score_precision: list[int] | None = None,
    *,
    sandbox: Mapping[str, Any] | str,
    test_batch_size: int = 1,
    tests: str = IOI_TESTS,
) -> list[Mark]:
    """The score of an IOI subtask: the least of its tests' scores, from 0 to 1, rounded to the task's precision.

    The program is the last ```cpp block; the standard headers and the task's own are added where they are missing.
    Tests run in batches, and none after a batch with a test of score 0. No program: 0.

    Args:
        completions: (B,) texts.
        id: (B,) the task's short name, which is its header's.
        test_names: (B,) names of the subtask's tests.
        grader_files: (B,) `[[name, content], …]`.
        time_limit: (B,) seconds.
        memory_limit: (B,) bytes.
        test_cases: (B,) `{name: [input, output]}`, or a list in the order of `test_names`; else they come from `tests`.
        year: (B,) of the contest, where the tests come from `tests`.
        score_precision: (B,) decimals, 2 where there is no such column.
        sandbox: the config of the sandbox.
        test_batch_size: tests that run before the next look; -1 for all.
        tests: a data set on the hub or a folder `YEAR/*.parquet` with problem_id, test_name, test_input, test_output.
    """
    runner = shared(sandbox)
    many = len(completions)
    cases: list[Any] = []
    for row in range(many):
        seconds, room = positive(time_limit[row]), positive(memory_limit[row])
        if seconds is None or room is None:
            cases.append(None)
            continue
        source = ioi_includes(last_block(completions[row], "cpp"), id[row])
        own = _named(test_cases[row], test_names[row]) if test_cases else None
        precision = int(score_precision[row]) if score_precision else 2
        cases.append(
            (
                IOIProgram(id[row].lower(), source, _files(grader_files[row])) if source else None,
                own or {},
                (int(year[row]), id[row]) if own is None and year else None,
                tuple(test_names[row]),
                Limits(
                    seconds=seconds,
                    wall_seconds=2 * seconds + 3,
                    memory=int(room),
                    file_size=OUTPUT,
                    output=OUTPUT,
                ),
                precision,
            )
        )
    return spread(partial(_ioi_score, runner, tests, test_batch_size), cases, PARALLEL)


def _ioi_score(runner: Sandbox, source: str, batch: int, case: tuple[Any, ...] | None) -> Mark:
    if case is None:
        return None
    program, own, wanted, names, limits, precision = case
    known = ioi_tests(source, *wanted) if wanted else own
    if not names or not all(name in known for name in names):
        return None
    if program is None:
        return 0.0
    listed = [Test(*known[name]) for name in names]
    outcomes = batched(runner, program, listed, limits, batch, stop=lambda seen: any(item.score == 0 for item in seen))
    if any(item.score == 0 and item.verdict not in (Verdict.INFRASTRUCTURE, Verdict.SKIPPED) for item in outcomes):
        return 0.0
    return failed(outcomes) or round(min(item.score for item in outcomes), precision)


def cf_code(
    completions: list[str],
    id: list[str],
    language: list[str | None],
    official_tests: list[Any],
    time_limit: list[float],
    memory_limit: list[float],
    input_mode: list[str] | None = None,
    generated_checker: list[str | None] | None = None,
    *,
    sandbox: Mapping[str, Any] | str,
    test_batch_size: int = 1,
    scoring_mode: Scoring = "weighted_sum",
    patch_code: bool = False,
    tests_folder: str | None = None,
) -> list[Mark]:
    """The score of a Codeforces submission on official and generated tests.

    pass_fail: 1 if every test is passed, else 0. partial: the share of tests passed. weighted_sum: the first and a
    tenth of the second, 1.1 at best. No code: -1. It does not compile: -0.1. No tests, or another language: None.

    Args:
        completions: (B,) texts.
        id: (B,) "CONTEST/PROBLEM".
        language: (B,) "python" or "cpp".
        official_tests: (B,) `[{input, output}, …]`.
        time_limit: (B,) seconds.
        memory_limit: (B,) megabytes.
        input_mode: (B,) "stdio" or "file".
        generated_checker: (B,) Python source, or None.
        sandbox: the config of the sandbox.
        test_batch_size: tests that run before the next look (pass_fail stops at a failure); -1 for all.
        scoring_mode: see above.
        patch_code: mend known quirks of old programs first (`r1lab.rewards.patches`).
        tests_folder: of test_cases_CONTEST.parquet files with the generated tests; None: CF_TESTS_FOLDER, if it is set.

    Raises:
        RewardError: an unknown scoring mode.
    """
    if scoring_mode not in ("pass_fail", "partial", "weighted_sum"):
        raise RewardError(f"cf_code: scoring_mode={scoring_mode!r}; choose pass_fail, partial or weighted_sum")
    runner = shared(sandbox)
    cases: list[Any] = []
    for row, text in enumerate(completions):
        chosen = language[row]
        source = last_block(text, chosen) if chosen in ("python", "cpp") else None
        source = patched(source, chosen) if source and chosen and patch_code else source
        seconds, megabytes = positive(time_limit[row]), positive(memory_limit[row])
        tests = official_tests[row] if isinstance(official_tests[row], list | tuple) else ()
        if seconds is None or megabytes is None or not all(_is_test(item) for item in tests):
            cases.append(None)  # a row that says nothing to judge by
            continue
        cases.append(
            (
                id[row],
                chosen,
                CodeforcesProgram(
                    str(chosen),
                    source,
                    str(checker) if (checker := generated_checker[row] if generated_checker else None) else None,
                    (input_mode[row] if input_mode else None) or "stdio",
                )
                if source and source.strip()
                else None,
                tuple(Test(str(item["input"]), str(item["output"])) for item in tests),
                Limits(
                    seconds=seconds,
                    wall_seconds=2 * seconds + 5,
                    memory=int(megabytes * (1 << 20)),
                    file_size=OUTPUT,
                    output=OUTPUT,
                ),
            )
        )
    return spread(partial(_cf_score, runner, tests_folder, test_batch_size, scoring_mode), cases, PARALLEL)


def _cf_score(runner: Sandbox, folder: str | None, batch: int, mode: Scoring, case: tuple[Any, ...] | None) -> Mark:
    if case is None:
        return None
    name, language, program, official, limits = case
    listed = [*official, *generated_tests(name, folder)]
    if not listed or language not in ("python", "cpp"):
        return None
    if program is None:
        return NO_CODE
    whole = mode == "pass_fail"
    outcomes = batched(runner, program, listed, limits, batch, stop=lambda seen: whole and _faulty(seen))
    if any(item.verdict is Verdict.REFUSED for item in outcomes):
        return NO_COMPILE
    if whole and _faulty(outcomes):
        return 0.0
    if failure := failed(outcomes):
        return failure
    share = sum(item.passed for item in outcomes) / len(listed)
    right = float(share == 1.0)
    return {"pass_fail": right, "partial": share, "weighted_sum": right + BONUS * share}[mode]


def positive(value: Any) -> float | None:
    """A limit as a number above 0; None where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < math.inf else None


def _is_test(item: Any) -> bool:
    """Whether an entry of official_tests has input and output."""
    return isinstance(item, Mapping) and item.get("input") is not None and item.get("output") is not None


def _faulty(outcomes: Sequence[Outcome]) -> bool:
    """Whether a test was not passed, by the program's fault."""
    return any(not item.passed and item.verdict not in (Verdict.INFRASTRUCTURE, Verdict.SKIPPED) for item in outcomes)


def batched(
    runner: Sandbox,
    submission: Submission,
    tests: Sequence[Test],
    limits: Limits,
    batch: int,
    *,
    stop: Callable[[Sequence[Outcome]], bool],
) -> list[Outcome]:
    """Outcomes of tests, a batch at a time; after a batch at which `stop` says so, the rest is SKIPPED."""
    size = batch if batch >= 1 else len(tests)
    outcomes: list[Outcome] = []
    for start in range(0, len(tests), size):
        try:
            outcomes += runner.run(submission, tests[start : start + size], limits)
        except ConfigError as error:  # this row's language is not to be had here; others may be
            return [Outcome(Verdict.INFRASTRUCTURE, detail=error.findings[0].what)] * len(tests)
        refused = outcomes[-1].verdict is Verdict.REFUSED
        if refused or stop(outcomes):
            break
    return outcomes + [Outcome(Verdict.SKIPPED)] * (len(tests) - len(outcomes))


def _named(given: Any, names: Sequence[str]) -> dict[str, tuple[str, str]] | None:
    """Tests by name, from a mapping or from a list in the order of the names; None where the row has none."""
    if not given:
        return None
    pairs = given.items() if isinstance(given, Mapping) else zip(names, given, strict=True)
    return {str(name): (str(test[0]), str(test[1])) for name, test in pairs if test}


def _files(listed: Any) -> dict[str, str]:
    """Grader files by name, from pairs or from {name, content} mappings."""
    pairs = [(item["name"], item["content"]) if isinstance(item, Mapping) else tuple(item) for item in listed or ()]
    return {str(name): str(content) for name, content in pairs if content}
