"""Contest judges on small problems of our own: scores, verdicts, words, and submissions that go for their judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Outcome, Test, Verdict
from r1lab.sandbox.local import LocalSandbox

PROBLEMS = Path(__file__).with_name("problems")
LIMITS = Limits(seconds=1.0, wall_seconds=20.0, memory=128 << 20)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    made = LocalSandbox()
    yield made
    made.close()


def ioi(task: str, source: str, **settings: Any) -> IOIProgram:
    """A submission to one of the problems, with other words in its grader_config.json."""
    folder = PROBLEMS / task
    graders = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.*")}
    if settings:
        config = json.loads(graders["graders/grader_config.json"])
        config |= {f"task_type_parameters_Communication_{name}": value for name, value in settings.items()}
        graders["graders/grader_config.json"] = json.dumps(config)
    return IOIProgram(task, source, graders)


SUM = '#include "sum.h"\nlong long total(std::vector<int> v) {{ long long s = 0; for (int x : v) s += x; {} }}\n'
SUM_TESTS = [Test("3\n1 2 3\n", "6\n"), Test("2\n1000000000 2000000000\n", "3000000000\n\n")]


def test_batch(sandbox: LocalSandbox) -> None:
    outcomes = sandbox.run(ioi("sum", SUM.format("return s;")), [*SUM_TESTS, Test("1\n5", "6")], LIMITS)
    assert [(item.verdict, item.score) for item in outcomes] == [("passed", 1.0), ("passed", 1.0), ("wrong", 0.0)]


@pytest.mark.parametrize(
    ("body", "verdict", "word"),
    [
        ("return s + missing;", Verdict.REFUSED, "missing"),
        ("for (;;) s += v[0]; return s;", Verdict.TIMEOUT, "limit on time"),
        ("std::vector<long long> w; for (;;) w.push_back(s); return s;", Verdict.MEMORY, "limit on memory"),
        ("volatile long long z = 0; return s / z;", Verdict.CRASHED, "SIGFPE"),
        ("throw 1;", Verdict.CRASHED, "SIGABRT"),
        ("return total(v) + s;", Verdict.MEMORY, "limit on memory"),
    ],
    ids=["refused", "time", "memory", "signal", "thrown", "stack"],
)
def test_batch_failures(sandbox: LocalSandbox, body: str, verdict: Verdict, word: str) -> None:
    (outcome,) = sandbox.run(ioi("sum", SUM.format(body)), SUM_TESTS[:1], LIMITS)
    assert (outcome.verdict, outcome.score) == (verdict, 0.0), outcome
    assert word in outcome.detail


# Each of these wants the point of a test whose answer it does not know.
CHEATS = {
    "prints in a constructor": '#include <cstdio>\nstruct A {{ A() {{ puts("6"); }} }} a;\n{}',
    "prints and leaves": "#include <cstdio>\n#include <unistd.h>\n"
    'struct A {{ A() {{ puts("7"); fflush(stdout); _exit(0); }} }} a;\n{}',
    "leaves early": "#include <cstdlib>\nstruct A {{ A() {{ _Exit(0); }} }} a;\n{}",
    "reads the answer": "#include <fstream>\n#include <iostream>\n#include <string>\nstruct A {{ A() {{ for (auto p : "
    '{{"correct_output.txt", "../correct_output.txt", "/tmp/box/correct_output.txt", "/proc/1/cwd/input.txt"}}) '
    "{{ std::ifstream f(p); std::string s; if (f >> s) std::cout << s << std::endl, exit(0); }} }} }} a;\n{}",
    "includes the answer": '#if __has_include("correct_output.txt") || __has_include("../correct_output.txt")\n'
    "#error there\n#endif\n{}",
    "leaves an answer file": '#include <fstream>\nstruct A {{ A() {{ std::ofstream("correct_output.txt") << 5; '
    'std::ofstream("/tmp/box/output.txt") << 6; }} }} a;\n{}',
}


@pytest.mark.parametrize("source", CHEATS.values(), ids=CHEATS)
def test_batch_cheats(sandbox: LocalSandbox, source: str) -> None:
    cheat = source.format('#include "sum.h"\nlong long total(std::vector<int> v) { return 5; }\n')
    (outcome,) = sandbox.run(ioi("sum", cheat), SUM_TESTS[:1], LIMITS)
    assert (outcome.verdict, outcome.score) == (Verdict.WRONG, 0.0), outcome


NEAR = '#include "near.h"\nlong long total(std::vector<int> v) {{ {} }}\n'


@pytest.mark.parametrize(
    ("body", "verdict", "score", "words"),
    [
        ("return 100;", Verdict.PASSED, 1.0, "exact"),
        ("return 109;", Verdict.WRONG, 0.5, "near"),
        ("return 12;", Verdict.WRONG, 0.0, "far"),
        ("return 666;", Verdict.WRONG, 0.0, "SIGSEGV"),
    ],
    ids=["exact", "near", "far", "breaks the checker"],
)
def test_checkers_give_parts(sandbox: LocalSandbox, body: str, verdict: Verdict, score: float, words: str) -> None:
    (outcome,) = sandbox.run(ioi("near", NEAR.format(body)), [Test("1\n1\n", "100\n")], LIMITS)
    assert (outcome.verdict, outcome.score) == (verdict, score), outcome
    assert words in outcome.detail


def test_a_checker_that_always_breaks_is_not_the_submissions_fault(sandbox: LocalSandbox) -> None:
    (outcome,) = sandbox.run(ioi("near", NEAR.format("return 1;")), [Test("1\n1\n", "666\n")], LIMITS)
    assert outcome.passed is False
    (outcome,) = sandbox.run(ioi("near", NEAR.format("return 666;")), [Test("1\n1\n", "666\n")], LIMITS)
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "the checker fails" in outcome.detail


def test_a_checker_that_does_not_compile_is_not_the_submissions_fault(sandbox: LocalSandbox) -> None:
    program = ioi("near", NEAR.format("return 1;"))
    program = replace(program, graders={**program.graders, "checker/checker.cpp": "int main() { missing; }"})
    (outcome,) = sandbox.run(program, [Test("1\n1\n", "1\n")], LIMITS)
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "missing" in outcome.detail


HALVE = (
    '#include "guess.h"\nint find(int n) { int low = 1, high = n; while (low < high) { int x = (low + high) / 2;\n'
    "int c = compare(x); if (!c) return x; if (c < 0) high = x - 1; else low = x + 1; } return low; }\n"
)
LINE = '#include "guess.h"\nint find(int n) { for (int x = 1; x < n; ++x) if (!compare(x)) return x; return n; }\n'


@pytest.mark.parametrize("way", ["std_io", "fifo_io"])
def test_communication(sandbox: LocalSandbox, way: str) -> None:
    tests = [Test("1000 77", ""), Test("1000 1000", ""), Test("1 1", "")]
    outcomes = sandbox.run(ioi("guess", HALVE, user_io=way), tests, LIMITS)
    assert [(item.verdict, item.score) for item in outcomes] == [("passed", 1.0)] * 3, outcomes
    assert outcomes[0].detail == "found"
    (slow,) = sandbox.run(ioi("guess", LINE, user_io=way), [Test("1000 77")], LIMITS)
    assert (slow.verdict, slow.score, slow.detail) == (Verdict.WRONG, 0.25, "found")


@pytest.mark.parametrize("way", ["std_io", "fifo_io"])
@pytest.mark.parametrize(
    ("body", "verdict", "word"),
    [
        ("return n / 7;", Verdict.WRONG, "not found"),
        ("for (;;) compare(1);", Verdict.WRONG, "too many questions"),
        ("for (volatile int x = 0;; ++x); return n;", Verdict.TIMEOUT, "limit on time"),
        ("abort();", Verdict.WRONG, "wrong protocol"),
        ("exit(0);", Verdict.WRONG, "wrong protocol"),
        ("exit(3);", Verdict.WRONG, "wrong protocol"),
        ("kill(getpid(), SIGSTOP); return n;", Verdict.TIMEOUT, "limit on wall time"),
        ('for (;;) puts("1"), fflush(stdout); return n;', Verdict.WRONG, ""),
        ("std::string s(200 << 20, 'x'); usleep(100000); return s[n];", Verdict.MEMORY, "limit on memory"),
    ],
    ids=["wrong", "asks", "time", "signal", "leaves", "status", "silent", "floods", "memory"],
)
def test_communication_failures(sandbox: LocalSandbox, way: str, body: str, verdict: Verdict, word: str) -> None:
    headers = ("<cstdio>", "<cstdlib>", "<string>", "<unistd.h>", "<signal.h>", '"guess.h"')
    source = "".join(f"#include {name}\n" for name in headers) + f"int find(int n) {{ {body} }}\n"
    if way == "fifo_io" and word == "":
        pytest.skip("stdout is nobody's there")
    limits = replace(LIMITS, seconds=0.5, wall_seconds=1.0 if "wall" in word else 4.0)
    (outcome,) = sandbox.run(ioi("guess", source, user_io=way), [Test("1000 77")], limits)
    assert (outcome.verdict, outcome.score) == (verdict, 0.0), outcome
    assert word in outcome.detail


@pytest.mark.parametrize("way", ["std_io", "fifo_io"])
def test_two_processes(sandbox: LocalSandbox, way: str) -> None:
    source = (
        '#include "relay.h"\nstatic int kept = -1;\n'
        "int say(int n) {{ kept = n; return {}; }}\nint hear(int b) {{ return {}; }}\n"
    )
    tests = [Test("1 2 3 100 200 7 8 9")]
    (right,) = sandbox.run(ioi("relay", source.format("n ^ 5", "b ^ 5"), user_io=way), tests, LIMITS)
    assert (right.verdict, right.score, right.detail) == (Verdict.PASSED, 1.0, "8 of 8")
    (part,) = sandbox.run(ioi("relay", source.format("n / 100", "b * 100"), user_io=way), tests, LIMITS)
    assert (part.verdict, part.score, part.detail) == (Verdict.WRONG, 0.25, "2 of 8")
    (apart,) = sandbox.run(ioi("relay", source.format("0", "kept == -1 ? 0 : kept"), user_io=way), tests, LIMITS)
    assert (apart.verdict, apart.score) == (Verdict.WRONG, 0.0)


def test_many_communications_at_once_do_not_wait_for_each_other_forever(sandbox: LocalSandbox) -> None:
    source = '#include "relay.h"\nint say(int n) { return n; }\nint hear(int b) { return b; }\n'
    with ThreadPoolExecutor(6) as threads:
        programs = [ioi("relay", source)] * 12
        found = list(threads.map(lambda program: sandbox.run(program, [Test("1 2 3")], LIMITS)[0], programs))
    assert [item.score for item in found] == [1.0] * 12


# Codeforces

DOUBLE = {
    "python": "print(int(input()) * 2)",
    "cpp": "#include <iostream>\nint main() { int n; std::cin >> n; std::cout << n * 2; }",
}


@pytest.mark.parametrize("language", ["python", "cpp"])
def test_codeforces_compares_words(sandbox: LocalSandbox, language: str) -> None:
    program = CodeforcesProgram(language, DOUBLE[language])
    tests = [Test("4\r\n", "8\r\n"), Test("4", "\n 8 \n\n"), Test("4", "9")]
    assert [item.verdict for item in sandbox.run(program, tests, LIMITS)] == ["passed", "passed", "wrong"]


@pytest.mark.parametrize(
    ("printed", "expected", "passed"),
    [
        ("YES\nno", "yes NO", True),
        ("Yes", "YES", True),
        ("a  b\\n\\n\\nc", "a b\nc", True),
        ("a\\r\\nb", "a\nb", True),
        ("A", "a", False),
        ("yes", "no", False),
        ("1", "1.0", False),
        ("", "", True),
        ("1 2", "1", False),
        ("YESYES", "yesyes", False),
    ],
)
def test_codeforces_words(sandbox: LocalSandbox, printed: str, expected: str, passed: bool) -> None:
    source = f"print({printed!r}.replace('\\\\n', chr(10)).replace('\\\\r', chr(13)))"
    assert sandbox.run(CodeforcesProgram("python", source), [Test("", expected)], LIMITS)[0].passed is passed


def test_codeforces_failures(sandbox: LocalSandbox) -> None:
    def verdict(language: str, source: str) -> Outcome:
        return sandbox.run(CodeforcesProgram(language, source), [Test("1", "1")], replace(LIMITS, seconds=0.4))[0]

    assert verdict("cpp", "int main() { missing; }").verdict is Verdict.REFUSED
    assert verdict("python", "while True: pass").verdict is Verdict.TIMEOUT
    assert verdict("python", "x = [bytearray(1 << 20) for _ in range(999)]").verdict is Verdict.MEMORY
    assert verdict("python", "print(1)\n1 / 0").verdict is Verdict.CRASHED


FACTORS = """
import sys
given, right, told = (open(path).read().split() for path in sys.argv[1:4])
n = int(given[0])
if told[:1] == ["crash"]:
    raise ValueError("the checker is broken")
if told[:1] == ["hang"]:
    while True: pass
if right == ["crash"]:
    raise ValueError("broken anyway")
a, b = map(int, told[:2])
print(1 if a > 1 and b > 1 and a * b == n and len(told) == 2 else 0)
"""


@pytest.mark.parametrize(
    ("printed", "expected", "verdict"),
    [
        ("3 4", "2 6", Verdict.PASSED),
        ("6 2", "2 6", Verdict.PASSED),
        ("1 12", "2 6", Verdict.WRONG),
        ("nothing", "2 6", Verdict.WRONG),
        ("", "2 6", Verdict.WRONG),
        ("crash", "2 6", Verdict.WRONG),
        ("3 4 1", "2 6", Verdict.WRONG),
        ("3 4", "crash", Verdict.INFRASTRUCTURE),
    ],
)
def test_codeforces_checkers(sandbox: LocalSandbox, printed: str, expected: str, verdict: Verdict) -> None:
    program = CodeforcesProgram("python", f"print({printed!r})", FACTORS)
    (outcome,) = sandbox.run(program, [Test("12\n", expected)], LIMITS)
    assert outcome.verdict is verdict, outcome


def test_codeforces_checker_made_to_hang_is_the_submissions_fault(
    sandbox: LocalSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("r1lab.sandbox.contest.CHECKER", Limits(seconds=0.3, wall_seconds=2))
    (outcome,) = sandbox.run(CodeforcesProgram("python", "print('hang')", FACTORS), [Test("12", "3 4")], LIMITS)
    assert outcome.verdict is Verdict.WRONG


def test_codeforces_checker_that_says_100_agrees(sandbox: LocalSandbox) -> None:
    program = CodeforcesProgram("python", "print(1)", "print(100)")
    assert sandbox.run(program, [Test("12", "3")], LIMITS)[0].passed


FILES = {
    "closed": "with open('input.txt') as f, open('output.txt', 'w') as g: g.write(str(int(f.read()) * 2))",
    "left open": "g = open('output.txt', 'w')\ng.write(str(int(open('input.txt').read()) * 2))",
    "printed": "print(int(open('input.txt').read()) * 2, file=open('output.txt', 'w'))",
    "instead of stdout": "import sys\nsys.stdin = open('input.txt')\nsys.stdout = open('output.txt', 'w')\n"
    "print(int(input()) * 2)",
}


@pytest.mark.parametrize("source", FILES.values(), ids=FILES)
def test_codeforces_files(sandbox: LocalSandbox, source: str) -> None:
    tests = [Test("4\r\n", "8\n"), Test("4", "9")]
    outcomes = sandbox.run(CodeforcesProgram("python", source, input_mode="file"), tests, LIMITS)
    assert [(item.verdict, item.output.strip()) for item in outcomes] == [("passed", "8"), ("wrong", "8")]


def test_codeforces_files_in_cpp_and_without_output(sandbox: LocalSandbox) -> None:
    source = (
        '#include <cstdio>\n#include <cstdlib>\nint main() { freopen("input.txt", "r", stdin);\n'
        'freopen("output.txt", "w", stdout); int n; if (scanf("%d", &n) != 1) return 1; printf("%d\\n", n * 2); }'
    )
    (right,) = sandbox.run(CodeforcesProgram("cpp", source, input_mode="file"), [Test("4", "8")], LIMITS)
    assert right.passed
    (nothing,) = sandbox.run(CodeforcesProgram("python", "print(8)", input_mode="file"), [Test("4", "8")], LIMITS)
    assert (nothing.verdict, nothing.output) == (Verdict.WRONG, "")
    link = "import os\nos.symlink('/etc/passwd', 'output.txt')"
    (linked,) = sandbox.run(CodeforcesProgram("python", link, input_mode="file"), [Test("4", "8")], LIMITS)
    assert (linked.verdict, linked.output) == (Verdict.WRONG, "")
