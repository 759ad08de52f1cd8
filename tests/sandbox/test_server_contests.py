"""Packages cms_ioi and codeforces of the sandbox server, and that r1lab has the same verdicts through the wire."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from r1lab.providers.piston import PistonSandbox
from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Program, Test
from r1lab.sandbox.local import LocalSandbox
from tests.sandbox.served import Client

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
CONFIG = json.dumps({"task_type": "Batch", "code": "sum", "time_limit": 1.0, "memory_limit": 256 << 20})
GRADER = (
    '#include <cstdio>\n#include "sum.h"\nint main() { int a, b; scanf("%d %d", &a, &b); printf("%d\\n", add(a, b)); }'
)
CHECKER = """#include <cstdio>
int main(int, char **v) {
    int given, right;
    fscanf(fopen(v[3], "r"), "%d", &given);
    fscanf(fopen(v[2], "r"), "%d", &right);
    printf(given == right ? "1.0" : given == -right ? "0.5" : "0.0");
}"""


def ioi(body: str, checker: bool = True, **more: Any) -> dict[str, Any]:
    """A job as Open-R1's client sends it."""
    files = {
        "graders/sum.cpp": f'#include "sum.h"\nint add(int a, int b) {{ {body} }}',
        "input.txt": "1 2\n",
        "correct_output.txt": "3\n",
        "graders/grader.cpp": GRADER,
        "graders/sum.h": "int add(int, int);\n",
        "graders/grader_config.json": CONFIG,
        **({"checker/checker.cpp": CHECKER} if checker else {}),
        **more,
    }
    listed = [{"name": name, "content": content} for name, content in files.items() if content is not None]
    limits = {"run_timeout": 4000, "run_memory_limit": 256 << 20}
    return {"files": listed, "language": "cms_ioi", "version": "*", **limits}


@pytest.mark.parametrize(
    ("body", "stdout", "words"),
    [
        ("return a + b;", "1\n", "Output is correct"),
        ("return -a - b;", "0.5\n", "Output is partially correct"),
        ("return a * b;", "0\n", "Output isn't correct"),
        ("for (volatile int i = 0;; i = i + 1);", "0\n", "Time limit exceeded"),
        ("__builtin_trap();", "0\n", "Runtime error with exit code"),
        (
            "for (volatile char *p = 0;; p = new char[1 << 24]) for (int i = 0; p && i < 1 << 24; i++) p[i] = 1;",
            "0\n",
            "Memory limit exceeded",
        ),
    ],
)
def test_the_package_cms_ioi(client: Client, body: str, stdout: str, words: str) -> None:
    told = client.post("/api/v2/execute", json=ioi(body)).json()
    assert (told["language"], told["version"], told["compile"]["code"]) == ("cms", "1.0.0", 0)
    assert told["run"]["stdout"] == stdout
    assert words in told["run"]["stderr"].splitlines()[-1]


def test_ioi_jobs_of_other_forms(client: Client) -> None:
    refused = client.post("/api/v2/execute", json=ioi("return")).json()
    assert refused["compile"]["code"] == 1
    assert "error" in refused["compile"]["stderr"]
    plain = client.post("/api/v2/execute", json=ioi("return a + b;", checker=False)).json()
    assert plain["run"]["stdout"] == "1\n"
    unjudged = client.post("/api/v2/execute", json=ioi("return a + b;", **{"correct_output.txt": None})).json()
    assert unjudged["run"]["stdout"] == "3\n"
    unnamed = client.post("/api/v2/execute", json=ioi("return a + b;", **{"graders/grader_config.json": None})).json()
    assert unnamed["run"]["stdout"] == "1\n"
    broken = client.post("/api/v2/execute", json=ioi("return 1;", **{"checker/checker.cpp": "int main("}))
    assert broken.status_code == 500
    assert "does not compile" in broken.json()["message"]
    odd = client.post("/api/v2/execute", json=ioi("return 1;", **{"graders/grader_config.json": "{"}))
    assert (odd.status_code, odd.json()["message"][:33]) == (400, "graders/grader_config.json is no ")


def codeforces(
    source: str,
    language: str = "cf_python3",
    settings: str = "TIME_LIMIT=1.0\nMEMORY_LIMIT=256.0\nINPUT_MODE=stdio",
    **more: str,
) -> dict[str, Any]:
    main = "main.python" if language == "cf_python3" else "main.cpp"
    files = {main: source, "input.txt": "3\r\n", "correct_output.txt": "YES 6\n", "grader_config": settings, **more}
    listed = [{"name": name, "content": content} for name, content in files.items()]
    return {"files": listed, "language": language, "version": "*", "run_timeout": 11_000.0}


@pytest.mark.parametrize(
    ("job", "stdout", "words", "code"),
    [
        (codeforces("print('yes', int(input()) * 2)"), "1\n", "Output is correct", 0),
        (codeforces("print('yes 7')"), "0\n", "Output isn't correct", 0),
        (codeforces("while 1: pass"), "0\n", "Time limit exceeded (1s)", 124),
        (codeforces("x = bytearray(1 << 30)"), "0\n", "Memory limit exceeded (256MB)", 134),
        (codeforces("1 / 0"), "0\n", "Runtime error with exit code 1", 1),
        (codeforces("#include <cstdio>\nint main() { puts(\"YES 6\"); }", "c++17"), "1\n", "Output is correct", 0),
        (codeforces("", **{"checker.py": "import sys; print(sys.argv[3] and 1)"}), "1\n", "Output is correct", 0),
        (codeforces("open('output.txt', 'w').write(f'no {open(\"input.txt\").read()}')", settings="INPUT_MODE=file",
                    **{"correct_output.txt": "NO 3"}), "1\n", "Output is correct", 0),
    ],
)  # fmt: skip
def test_the_package_codeforces(client: Client, job: dict[str, Any], stdout: str, words: str, code: int) -> None:
    told = client.post("/api/v2/execute", json=job).json()
    assert told["compile"]["code"] == 0  # Open-R1's client reads it for Python too
    assert (told["run"]["stdout"], told["run"]["code"]) == (stdout, code)
    assert told["run"]["stderr"].splitlines()[-1] == words


def test_r1labs_client_and_server_agree_with_the_sandbox(url: str, local: LocalSandbox) -> None:
    """The same verdicts through the wire as at first hand."""
    remote = PistonSandbox(endpoints=[url], max_requests_per_endpoint=2)
    limits = Limits(seconds=0.3, wall_seconds=1, memory=128 << 20)
    graders = {"graders/grader.cpp": GRADER, "graders/sum.h": "int add(int, int);", "checker/checker.cpp": CHECKER}
    add = '#include "sum.h"\nint add(int a, int b) { return -a - b; }'
    submissions: list[tuple[Any, Test]] = [
        (Program("python", "print(int(input()) * 2)"), Test("3", "6")),
        (Program("python", "print(int(input()) * 3)"), Test("3", "6")),
        (Program("python", "while 1: pass"), Test("3", "6")),
        (Program("python", "x = bytearray(1 << 30)"), Test("3", "6")),
        (Program("python", "1 / 0"), Test("3", "6")),
        (Program("cpp", "int main( {"), Test("3", "6")),
        (Program("python", "print('x' * (1 << 25))"), Test("3", "6")),
        (IOIProgram("sum", add, graders), Test("1 2", "3")),
        (CodeforcesProgram("python", "print('no', 1)"), Test("3", "NO 1")),
        (CodeforcesProgram("cpp", "int main() { for (;;); }"), Test("3", "NO 1")),
    ]
    for submission, test in submissions:
        (near,), (far,) = local.run(submission, [test], limits), remote.run(submission, [test], limits)
        assert (far.verdict, far.score) == (near.verdict, near.score), (submission, near, far)
    remote.close()
