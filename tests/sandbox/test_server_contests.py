"""Packages cms_ioi and codeforces of the sandbox server, and that r1lab has the same verdicts through the wire."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from r1lab.providers.piston import PistonSandbox
from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Program, Test, Verdict
from r1lab.sandbox.local import LocalSandbox
from r1lab.sandbox_server import jobs
from r1lab.sandbox_server.contests import submission_of
from r1lab.sandbox_server.jobs import Most
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


MANAGER = '#include <cstdio>\nint main() { puts("1"); }'
WANTED = "task_type_parameters_Communication_num_processes"


def communication(**settings: Any) -> dict[str, Any]:
    config = json.dumps({"task_type": "Communication", "code": "sum", **settings})
    return ioi("return a + b;", **{"graders/manager.cpp": MANAGER, "graders/grader_config.json": config})


@pytest.mark.parametrize(
    ("asked", "said"),
    [(40, "40"), (10_000, "10000"), (-3, "-3"), (0, "0"), ("x", "'x'"), (1.5, "1.5"), (True, "True"), ([], "[]"),
     (10**300, "1000")],
)  # fmt: skip
def test_processes_that_no_task_may_have(client: Client, local: LocalSandbox, asked: Any, said: str) -> None:
    job = communication(**{WANTED: asked})
    answer = client.post("/api/v2/execute", json=job)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"the task asks for {said}")
    assert answer.json()["message"].endswith("processes; it may have from 1 to 8")
    graders = {item["name"]: item["content"] for item in job["files"]}
    (outcome,) = local.run(IOIProgram("sum", graders.pop("graders/sum.cpp"), graders), [Test("1 2", "3")])
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert outcome.detail == answer.json()["message"]
    assert len(local.boxes) <= 2


@pytest.mark.parametrize("asked", ["2", 2, None])
def test_processes_that_a_task_may_have(client: Client, asked: Any) -> None:
    answer = client.post("/api/v2/execute", json=communication(**{WANTED: asked}))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x/grader_config.json", "[", "x/grader_config.json is no JSON: "),
        ("x/grader_config.json", "[" * 100_000, "x/grader_config.json is no JSON: "),
        ("x/grader_config.json", "[]", "x/grader_config.json must be a JSON object"),
        ("x/grader_config.json", "9" * 9999, "x/grader_config.json is no JSON: "),
        ("graders/grader_config.json", '"x"', "graders/grader_config.json must be a JSON object"),
        (
            "graders/grader_config.json",
            json.dumps({"task_type_parameters_Communication_manager_args": "a\0"}),
            "graders/grader_config.json: task_type_parameters_Communication_manager_args holds the character NUL",
        ),
        ("graders/grader.cpp/x", "", "files: 'graders/grader.cpp' is a file, and a folder in "),
    ],
)
def test_settings_that_are_none(client: Client, local: LocalSandbox, name: str, content: str, message: str) -> None:
    job = ioi("return a + b;", **{"graders/grader_config.json": None, "graders/manager.cpp": MANAGER, name: content})
    answer = client.post("/api/v2/execute", json=job)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)
    graders = {item["name"]: item["content"] or " " for item in job["files"]}
    (outcome,) = local.run(IOIProgram("sum", graders.pop("graders/sum.cpp"), graders), [Test("1 2", "3")])
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert outcome.detail.startswith(message.removeprefix("files: "))


def test_tasks_get_no_more_than_the_server_has(client: Client) -> None:
    most = Most(run_timeout=20_000, run_cpu_time=3000, run_memory_limit=512 << 20)

    def asked(body: dict[str, Any], most: Most = most) -> Limits:
        return submission_of(jobs.read(body, Limits(seconds=5, wall_seconds=30), most), most)[2]

    greedy = {"task_type": "Batch", "code": "sum", "time_limit": 1e6, "memory_limit": 1e14}
    limits = asked(ioi("return 1;", **{"graders/grader_config.json": json.dumps(greedy)}))
    assert (limits.memory, limits.seconds) == (512 << 20, 3.0)
    limits = asked(codeforces("", settings="TIME_LIMIT=100000\nMEMORY_LIMIT=100000000"))
    assert (limits.memory, limits.seconds, limits.wall_seconds <= 20) == (512 << 20, 3.0, True)
    limits = asked(codeforces("", settings="TIME_LIMIT=1\nMEMORY_LIMIT=64"))
    assert (limits.memory, limits.seconds) == (64 << 20, 1.0)
    assert asked(codeforces("", settings="MEMORY_LIMIT=1")).memory == 16 << 20  # with less, nothing starts
    unlimited = Most(0, 0, 0, 0, 0, 0)
    assert asked(codeforces("", settings="MEMORY_LIMIT=100000"), unlimited).memory == 100_000 << 20
    source = "x = bytearray(6 << 30)"
    told = client.post("/api/v2/execute", json=codeforces(source, settings="MEMORY_LIMIT=100000000")).json()
    assert "Memory limit exceeded (4096MB)" in told["run"]["stderr"]


BREAKS = "#include <cstdlib>\nint main() { abort(); }"


@pytest.mark.parametrize(
    "files",
    [
        {"checker/checker.cpp": BREAKS},
        {"checker/checker.cpp": "int main("},
        {"checker/checker.cpp": "int main() {}"},
        {"checker/checker.cpp": None, "graders/manager.cpp": "int main() {}", "graders/grader_config.json": None},
    ],
    ids=["breaks", "does not compile", "says nothing", "a manager that says nothing"],
)
def test_a_broken_judge_is_the_tasks_fault(client: Client, local: LocalSandbox, files: dict[str, Any]) -> None:
    job = ioi("return a + b;", **files)
    graders = {item["name"]: item["content"] for item in job["files"]}
    source = graders.pop("graders/sum.cpp")
    (outcome,) = local.run(IOIProgram("sum", source, graders), [Test("1 2", "3")])
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert outcome.detail.startswith("the task's own checker fails")
    answer = client.post("/api/v2/execute", json=job)
    assert answer.status_code == 500
    assert answer.json()["message"].startswith("the task's own checker fails")


def test_a_manager_that_falls_silent_with_its_program_is_not_broken(client: Client) -> None:
    files = {"checker/checker.cpp": None, "graders/manager.cpp": "int main() {}", "graders/grader_config.json": None}
    source = "signed char *p = nullptr; *(volatile signed char *)p = 1; return a + b;"
    files["graders/grader.cpp"] = '#include "sum.h"\nint main() { return add(1, 2); }'
    told = client.post("/api/v2/execute", json=ioi(source, **files)).json()
    assert (told["run"]["stdout"], told["run"]["code"]) == ("0\n", 1)
    assert "Runtime error" in told["run"]["stderr"]


def test_a_broken_checker_in_python_is_the_tasks_fault(local: LocalSandbox) -> None:
    (outcome,) = local.run(CodeforcesProgram("python", "print(1)", "1 / 0"), [Test("", "1")])
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert outcome.detail.startswith("the task's own checker fails")


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
