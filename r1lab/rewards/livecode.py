"""Programs, judged as LiveCodeBench judges them: right where every public and private test is passed.

A test feeds the program its input on stdin, or calls the method that `metadata` names with arguments written as JSON,
one a line. The second kind runs by a driver that is put behind the program; expected values stay out of the box.

Source: Jain et al. 2024, arXiv 2403.07974; the data set livecodebench/code_generation_lite.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from r1lab.hardware import cores
from r1lab.rewards.base import Mark
from r1lab.rewards.code import failed, last_block, spread
from r1lab.sandbox import Sandbox, shared
from r1lab.sandbox.base import Limits, Program, Test, Verdict

STDIN, FUNCTIONAL = "stdin", "functional"
MEMORY = 4 << 30  # bytes
MARK = "r1lab-result-9d1c:"  # stands before what a method returns; a program may print before it
DRIVER = """

def _r1lab_drive():
    import json, sys
    lines = [line for line in sys.stdin.read().split("\\n") if line.strip()]
    arguments = [json.loads(line) for line in lines]
    owner = globals().get("Solution")
    call = getattr(owner(), {name!r}) if owner is not None else globals()[{name!r}]
    value = call(*arguments)
    print()
    print({mark!r} + json.dumps(value))

_r1lab_drive()
"""
NAMES = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
)
PREAMBLE = (  # what the benchmark's own runner has imported for every program
    "".join(f"from {name} import *\n" for name in [*NAMES.split(), "typing"])
    + f"import {', '.join(NAMES.split())}\nfrom builtins import *\nsys.setrecursionlimit(50000)\n"
)
FUTURE = "from __future__"


class Unreadable(Exception):
    """Tests that are not of LiveCodeBench's form."""


def livecode(
    completions: list[str],
    public_test_cases: list[Any],
    private_test_cases: list[Any],
    metadata: list[Any],
    *,
    sandbox: Mapping[str, Any] | str,
    seconds: float = 6,
    num_parallel: int | None = None,
) -> list[Mark]:
    """1 where the program in a completion passes every test, else 0; None where a row's tests cannot be read.

    The program is the last ```python block. No such block: 0.

    Args:
        completions: (B,) texts.
        public_test_cases: (B,) a list of `{input, output, testtype}`, or that as JSON.
        private_test_cases: (B,) the same, or packed: base64 of zlib of a pickled JSON text.
        metadata: (B,) `{func_name}`, or that as JSON.
        sandbox: the config of the sandbox.
        seconds: of processor time, for each test.
        num_parallel: programs judged at once; None: one per core.
    """
    runner = shared(sandbox)
    read: dict[int, tuple[str | None, list[Test]] | None] = {}  # one problem's completions share its columns
    cases = []
    for row, text in enumerate(completions):
        public, private, about = public_test_cases[row], private_test_cases[row], metadata[row]
        key = hash((str(public), str(private), str(about)))
        if key not in read:
            try:
                read[key] = read_tests(public, private, about)
            except Unreadable:
                read[key] = None
        cases.append((last_block(text, "python"), read[key]))
    limits = Limits(seconds=seconds, wall_seconds=2 * seconds + 3, memory=MEMORY)
    return spread(partial(_judge, runner, limits), cases, num_parallel or cores())


def _judge(runner: Sandbox, limits: Limits, case: tuple[str | None, tuple[str | None, list[Test]] | None]) -> Mark:
    source, known = case
    if known is None or not known[1]:
        return None
    if source is None or not source.strip():
        return 0.0
    name, tests = known
    whole = source if FUTURE in source else PREAMBLE + source
    if name is None:
        return _by_stdin(runner, limits, Program("python", whole), tests)
    program = Program("python", whole + DRIVER.format(name=name, mark=MARK))
    for test in tests:  # compared by value out here: [1, 2] is [1,2]
        outcomes = runner.run(program, [Test(test.input)], limits)
        if fault := failed(outcomes):
            return fault
        if not outcomes[0].passed or not _same_value(outcomes[0].output, str(test.output)):
            return 0.0
    return 1.0


def _by_stdin(runner: Sandbox, limits: Limits, program: Program, tests: Sequence[Test]) -> Mark:
    """Whether every output agrees: as text, or number by number."""
    while tests:
        outcomes = runner.run(program, tests, limits, stop_at_failure=True)
        place = next((i for i, item in enumerate(outcomes) if not item.passed), None)
        if place is None:
            return 1.0
        if fault := failed(outcomes[place : place + 1]):
            return fault
        wrong = outcomes[place].verdict is not Verdict.WRONG
        if wrong or not same_numbers(outcomes[place].output, str(tests[place].output)):
            return 0.0
        tests = tests[place + 1 :]
    return 1.0


def same_numbers(output: str, expected: str) -> bool:
    """Whether two outputs are the same numbers, line by line: 1.0 is 1, but 0.33 is not 1/3."""
    try:
        ours, theirs = (
            [[Decimal(word) for word in line.split()] for line in text.strip().split("\n")]
            for text in (output, expected)
        )
    except ArithmeticError:
        return False
    return ours == theirs


def _same_value(output: str, expected: str) -> bool:
    said = output.rpartition(MARK)
    try:
        return bool(said[1]) and bool(json.loads(said[2]) == json.loads(expected))
    except (ValueError, RecursionError):
        return False


def read_tests(public: Any, private: Any, about: Any) -> tuple[str | None, list[Test]]:
    """The method to call (None: the program reads stdin) and every test of a problem.

    Raises:
        Unreadable: they are not of this form.
    """
    cases = [*_cases(public), *_cases(private)]
    name = _mapping(about).get("func_name")
    kinds = {str(case.get("testtype", STDIN)) for case in cases}
    if not kinds <= {STDIN, FUNCTIONAL} or len(kinds) > 1 or (kinds == {FUNCTIONAL} and not name):
        raise Unreadable(f"tests of the kinds {sorted(kinds)}, method {name!r}")
    return (str(name) if kinds == {FUNCTIONAL} else None), [Test(str(c["input"]), str(c["output"])) for c in cases]


def _mapping(given: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(given) if isinstance(given, str) and given.strip() else given or {}
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if not isinstance(found, Mapping):
        raise Unreadable("the metadata is no mapping")
    return found


def _cases(given: Any) -> list[Mapping[str, Any]]:
    try:
        found = given if isinstance(given, list) else json.loads(given)
    except (ValueError, TypeError):
        found = _unpacked(given)
    if not isinstance(found, list) or not all(
        isinstance(case, Mapping) and {"input", "output"} <= case.keys() and case["output"] is not None
        for case in found
    ):
        raise Unreadable("the tests are no list of {input, output}")
    return found


def _unpacked(given: Any) -> Any:
    """The content of packed tests. Only a text is unpickled: the unpickler knows no class."""
    try:
        raw = zlib.decompress(base64.b64decode(given, validate=True))
        return json.loads(_Texts(io.BytesIO(raw)).load())
    except (ValueError, TypeError, EOFError, zlib.error, binascii.Error, pickle.UnpicklingError) as error:
        raise Unreadable(str(error)) from error


class _Texts(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"packed tests name {module}.{name}")
