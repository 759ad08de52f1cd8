"""ioi_code, cf_code and the patches, on small tasks of our own with scores worked out by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from r1lab.errors import RewardError
from r1lab.rewards.base import Failure
from r1lab.rewards.contest_tests import generated_tests, ioi_tests
from r1lab.rewards.contests import batched, cf_code, ioi_code
from r1lab.rewards.patches import ioi_includes, patched
from r1lab.sandbox.base import Outcome, Program, Test, Verdict

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
LOCAL = {"_target_": "r1lab.sandbox.local.LocalSandbox", "workers": 2}

HEADER = "long long total(long long a, long long b);\n"
GRADER = """#include <cstdio>
#include "sums.h"
int main() { long long a, b; if (scanf("%lld %lld", &a, &b) != 2) return 3; printf("%lld\\n", total(a, b)); }
"""
CHECKER = """#include <cmath>
#include <fstream>
#include <iostream>
int main(int, char **argv) {
    std::ifstream right(argv[2]), given(argv[3]);
    double x, y = 1e9;
    right >> x; given >> y;
    double off = std::fabs(x - y);
    std::cout << (off == 0 ? 1.0 : off <= 1 ? 0.555 : 0.0) << std::endl;
    std::cerr << "off by " << off << std::endl;
}
"""
CONFIG = json.dumps({"task_type": "Batch", "code": "sums", "time_limit": 1.0, "memory_limit": 268435456})
GRADERS = [["graders/sums.h", HEADER], ["graders/grader.cpp", GRADER], ["graders/grader_config.json", CONFIG]]
TESTS = {"1-01": ["1 2", "3"], "1-02": ["10 20", "30"], "1-03": ["5 5", "10"]}


def cpp(body: str) -> str:
    return f"<answer>\n```cpp\n{body}\n```\n</answer>"


def ioi(texts, graders=GRADERS, tests=TESTS, **parameters):
    many = len(texts)
    return ioi_code(
        texts,
        id=["sums"] * many,
        test_names=[list(TESTS)] * many,
        grader_files=[graders] * many,
        time_limit=[1.0] * many,
        memory_limit=[268435456] * many,
        test_cases=[tests] * many if tests else None,
        sandbox=LOCAL,
        **parameters,
    )


@needs_bwrap
def test_ioi_subtask_is_the_least_of_its_tests():
    right = "long long total(long long a, long long b) { return a + b; }"
    texts = [
        cpp(right),
        cpp(f'#include "sums.h"\n#include <vector>\n{right}'),
        cpp("long long total(long long a, long long b) { return a == 10 ? 31 : a + b; }"),
        cpp("long long total(long long a, long long b) { return b; }"),
        cpp("long long total(long long a, long long b) { while (a) b++; return b; }"),
        cpp("this is no program"),
        "no program at all",
        cpp(right).replace("cpp", "python"),
    ]
    assert ioi(texts) == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert ioi(texts[:3], tests=[list(TESTS.values())][0], test_batch_size=-1) == [1.0, 1.0, 0.0]


@needs_bwrap
def test_ioi_checker_gives_part_of_the_score():
    graders = [*GRADERS, ["checker/checker.cpp", CHECKER]]
    off_by_one = cpp("long long total(long long a, long long b) { return a + b + (a == 10); }")
    off_by_two = cpp("long long total(long long a, long long b) { return a + b + 2 * (a == 10); }")
    assert ioi([off_by_one, off_by_two], graders, score_precision=[1, 2]) == [0.6, 0.0]
    assert ioi([off_by_one], graders) == [pytest.approx(0.555, abs=0.006)]


@needs_bwrap
def test_ioi_rows_without_tests_are_skipped(tmp_path: Path):
    right = cpp("long long total(long long a, long long b) { return a + b; }")
    assert ioi([right], tests={"1-01": ["1 2", "3"]}) == [None]
    folder = tmp_path / "2020"
    folder.mkdir()
    rows = [{"problem_id": "sums", "test_name": n, "test_input": a, "test_output": b} for n, (a, b) in TESTS.items()]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
    assert ioi_tests(str(tmp_path), 2020, "sums")["1-02"] == ("10 20", "30")
    parameters = {"id": ["sums"], "test_names": [list(TESTS)], "grader_files": [GRADERS], "time_limit": [1.0]}
    found = ioi_code([right], memory_limit=[1 << 28], year=[2020], sandbox=LOCAL, tests=str(tmp_path), **parameters)
    assert found == [1.0]


CHECK_ANY = """import sys
given, right, output = (open(name).read().split() for name in sys.argv[1:])
total = int(given[0])
print(1 if len(output) == 2 and sum(map(int, output)) == total else 0)
"""
PAIRS = [{"input": "5\r\n", "output": "1 4\r\n"}, {"input": "7\n", "output": "1 6\n"}]


def cf(texts, language="python", official=PAIRS, checker=CHECK_ANY, **parameters):
    many = len(texts)
    return cf_code(
        texts,
        id=["1/A"] * many,
        language=[language] * many,
        official_tests=[official] * many,
        time_limit=[1.0] * many,
        memory_limit=[256.0] * many,
        generated_checker=[checker] * many,
        sandbox=LOCAL,
        **parameters,
    )


def py(body: str) -> str:
    return f"<answer>\n```python\n{body}\n```\n</answer>"


@needs_bwrap
def test_cf_scores():
    texts = [
        py("n = int(input())\nprint(2, n - 2)"),
        py("n = int(input())\nprint(2, 3)"),
        py("print('x')"),
        py("1 / 0"),
        "no code",
    ]
    assert cf(texts) == [1.1, pytest.approx(0.05), 0.0, 0.0, -1.0]
    assert cf(texts, scoring_mode="partial") == [1.0, 0.5, 0.0, 0.0, -1.0]
    assert cf(texts, scoring_mode="pass_fail", test_batch_size=-1) == [1.0, 0.0, 0.0, 0.0, -1.0]


@needs_bwrap
def test_cf_cpp_and_compile_errors():
    right = "#include <iostream>\nint main() { int n; std::cin >> n; std::cout << 1 << ' ' << n - 1; }"
    bare = "int main() { int n; cin >> n; cout << 1 << ' ' << n - 1; }"
    texts = [cpp(right), cpp("int main() { return x; }"), cpp(bare), py("print(1)")]
    assert cf(texts, "cpp") == [1.1, -0.1, -0.1, -1.0]
    assert cf([cpp(bare)], "cpp", patch_code=True) == [1.1]


@needs_bwrap
def test_cf_without_a_checker_compares_words():
    official = [{"input": "", "output": "YES\n1 2  3\n"}]
    texts = [
        py("print('yes 1 2 3')"),
        py("print('Yes\\n\\n1\\n2\\n3')"),
        py("print('yep 1 2 3')"),
        py("print('YES 1 2')"),
    ]
    assert cf(texts, official=official, checker=None, scoring_mode="partial") == [1.0, 1.0, 0.0, 0.0]


@needs_bwrap
def test_cf_file_mode():
    body = "n = int(open('input.txt').read())\nprint('noise')\nopen('output.txt', 'w').write(f'2 {n - 2}')"
    assert cf([py(body)], input_mode=["file"]) == [1.1]
    assert cf([py("print(1, int(input()) - 1)")], input_mode=["file"]) == [0.0]


def test_cf_rows_that_cannot_be_judged():
    assert cf(["no code"], official=[]) == [None]
    assert cf(["no code"], official=None) == [None]
    assert cf([py("print(1)")], language="rust") == [None]
    assert cf([py("print(1)")], language=None) == [None]
    with pytest.raises(RewardError, match="pass_fail, partial or weighted_sum"):
        cf(["x"], scoring_mode="best")


@pytest.mark.parametrize(
    "bad",
    [
        {"time_limit": [None]},
        {"time_limit": [float("nan")]},
        {"time_limit": ["1 second"]},
        {"time_limit": [-1]},
        {"memory_limit": [None]},
        {"memory_limit": [0]},
        {"official_tests": [[{}]]},
        {"official_tests": [5]},
    ],
)
def test_cf_rows_with_nothing_to_judge_by(bad):
    columns = {
        "id": ["1/A"],
        "language": ["python"],
        "official_tests": [PAIRS],
        "time_limit": [1.0],
        "memory_limit": [64],
    }
    assert cf_code([py("print(1)")], **{**columns, **bad}, sandbox=LOCAL) == [None]


@needs_bwrap
def test_generated_tests_count_like_official_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [{"problem_id": "1/A", "input": "9\n", "output": "1 8\n"}, {"problem_id": "1/B", "input": "", "output": ""}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test_cases_0001.parquet")
    assert generated_tests("1/A", str(tmp_path)) == [Test("9\n", "1 8\n")]
    assert generated_tests("2/A", str(tmp_path)) == []
    assert generated_tests("gym/A", str(tmp_path)) == []
    only_official = py("n = int(input())\nprint(2, n - 2 if n < 9 else 0)")
    share = cf([only_official], tests_folder=str(tmp_path), scoring_mode="partial")
    assert share == [pytest.approx(2 / 3)]
    monkeypatch.setenv("CF_TESTS_FOLDER", str(tmp_path))
    assert cf([only_official], scoring_mode="partial") == share
    monkeypatch.setenv("CF_TESTS_FOLDER", str(tmp_path / "gone"))
    with pytest.raises(RewardError, match="CF_TESTS_FOLDER"):
        cf([only_official])


class Scripted:
    """A sandbox that says what it is told to, and keeps what it was asked."""

    def __init__(self, *verdicts: Verdict):
        self.verdicts = list(verdicts)
        self.asked: list[int] = []

    def run(self, submission, tests, limits=None, *, stop_at_failure=False):
        self.asked.append(len(tests))
        said = [self.verdicts.pop(0) for _ in tests]
        return [Outcome(verdict, float(verdict is Verdict.PASSED), detail="the wire broke") for verdict in said]

    def close(self):
        pass


def scripted(monkeypatch, *verdicts):
    sandbox = Scripted(*verdicts)
    monkeypatch.setattr("r1lab.rewards.contests.shared", lambda cfg: sandbox)
    return sandbox


def test_failures_of_the_sandbox_are_no_scores(monkeypatch):
    right = cpp("long long total(long long a, long long b) { return a + b; }")
    passed, wrong, broken = Verdict.PASSED, Verdict.WRONG, Verdict.INFRASTRUCTURE
    scripted(monkeypatch, passed, broken, passed)
    assert ioi([right], test_batch_size=-1) == [Failure("the wire broke")]
    scripted(monkeypatch, passed, broken, wrong)
    assert ioi([right], test_batch_size=-1) == [0.0]  # the failed test could not have saved it
    scripted(monkeypatch, passed, broken)
    assert cf([py("print(1)")]) == [Failure("the wire broke")]
    scripted(monkeypatch, broken, wrong)
    assert cf([py("print(1)")], scoring_mode="pass_fail") == [0.0]


@needs_bwrap
def test_a_language_without_its_compiler_costs_its_rows_alone(monkeypatch):
    monkeypatch.setattr("r1lab.sandbox.languages.available", lambda language: language.name == "python")
    found = cf([py("print(1)"), cpp("int main() {}")], language="python")
    assert isinstance(found[0], float) and found[1] == -1.0
    (found,) = cf([cpp("int main() {}")], language="cpp")
    assert found == Failure("c++ programs need g++, which is not on this machine")


def test_batches_stop_where_the_scoring_allows_it(monkeypatch):
    passed, wrong = Verdict.PASSED, Verdict.WRONG
    sandbox = Scripted(passed, passed, wrong, passed)
    tests = [Test()] * 5
    outcomes = batched(
        sandbox, Program("python", ""), tests, None, 2, stop=lambda seen: any(item.score == 0 for item in seen)
    )
    assert [item.verdict for item in outcomes] == [passed, passed, wrong, passed, Verdict.SKIPPED]
    assert sandbox.asked == [2, 2]


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        ("from collections import Mapping\nprint(issubclass(dict, Mapping))", "True"),
        ("import collections\nprint(issubclass(dict, collections.Mapping))", "True"),
        ("from collections import deque\nprint(deque([1]))", "deque([1])"),
        ("from fractions import gcd\nprint(gcd(12, 18))", "6"),
        ("from fractions import Fraction, gcd\nprint(gcd(12, 18), Fraction(1, 2))", "6 1/2"),
        ("from fractions import gcd as g, Fraction  # both\nprint(g(4, 6), Fraction(1, 2))", "2 1/2"),
        ("import fractions\nprint(fractions.gcd(4, 6))", "2"),
        ("import imp\nprint(imp.__name__)", "importlib"),
        ("import inspect\nprint(inspect.getargspec(lambda a, b: 0).args)", "['a', 'b']"),
        ("import os\nprint(os.getlogin())", "False"),
        ("print(1 + \\\n\n\n2)", "3"),
        ("from __future__ import division\nprint(len(str(10 ** 5000)))", "5001"),
        ("import important\nprint(1)", None),  # left alone: it fails as before
    ],
)
def test_patched_python_runs(program, printed):
    done = subprocess.run([sys.executable, "-c", patched(program, "python")], capture_output=True, text=True)
    assert done.stdout.strip() == (printed or ""), done.stderr
    assert (done.returncode == 0) is (printed is not None)


def test_includes():
    assert ioi_includes(None, "sums") is None
    assert ioi_includes("  \n", "sums") is None
    assert ioi_includes("int x;", "sums") == (
        '#include <bits/stdc++.h>\n#include "sums.h"\n\nusing namespace std;\n\nint x;'
    )
    assert ioi_includes('#include "sums.h"\nstd::vector<int> x;', "sums") == (
        '#include <bits/stdc++.h>\n#include "sums.h"\nstd::vector<int> x;'
    )
    assert patched("int x;", "cpp") == "#include <bits/stdc++.h>\n\nusing namespace std;\n\nint x;"
    assert patched("x", "rust") == "x"
