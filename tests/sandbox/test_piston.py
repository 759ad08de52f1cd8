"""Programs on Piston servers: requests on the wire, replies of every kind, balance between servers, failures."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest
from aiohttp import web

from r1lab.errors import ConfigError
from r1lab.providers.piston import PistonSandbox
from r1lab.remote import retrying
from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Outcome, Program, Test, Verdict
from tests.sandbox.stand_in import StandIn, cut, ran, reply, standing_in

DOUBLE = Program("python", "print(int(input()) * 2)")
KILLED = {"code": None, "signal": "SIGKILL"}
LIMITS = Limits(seconds=1.5, wall_seconds=3, memory=64 << 20, compile_seconds=10)
CONFIG = '{"task_type": "Batch", "code": "sum", "time_limit": 2.0, "memory_limit": 268435456}'
SUM = IOIProgram(
    "sum", "int add(int a, int b) { return a + b; }", {"graders/grader.cpp": "// g", "graders/sum.h": "// h"}
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No endpoint from outside, and short waits."""
    for name in (
        "PISTON_ENDPOINTS",
        "PISTON_TOKEN",
        "PISTON_MAX_REQUESTS_PER_ENDPOINT",
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(retrying, "FIRST", 0.02)
    monkeypatch.setattr("r1lab.remote.pool.REST", 0.1)


async def double(request: web.Request) -> web.Response:
    """A server whose every program doubles its input."""
    body = await request.json()
    return web.json_response(reply(ran(f"{int(body['stdin']) * 2}\n", cpu_time=12, memory=9_000_000)))


def answering(*answers: Any) -> Any:
    """A handler that gives answers in turn, the last for ever: a reply, a status with headers, or a handler."""
    given = list(answers)

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = given.pop(0) if len(given) > 1 else given[0]
        if callable(answer):
            response: web.StreamResponse = await answer(request)
            return response
        if isinstance(answer, tuple):
            status, body, headers = (*answer, {})[:3]
            text = body if isinstance(body, str) else json.dumps(body)
            return web.Response(status=status, text=text, headers=headers)
        return web.json_response(answer)

    return handler


def judged(answer: Any, submission: Any = DOUBLE, test: Test | None = None, **more: Any) -> tuple[Outcome, list[Any]]:
    """The outcome of one test where the server gives this answer, and the bodies it was sent."""
    with standing_in(answering(*answer) if isinstance(answer, list) else answering(answer)) as server:
        sandbox = PistonSandbox(endpoints=[server.url], tries=3, **more)
        try:
            (outcome,) = sandbox.run(submission, [test or Test("3", "6")], LIMITS)
        finally:
            sandbox.close()
        return outcome, [json.loads(body) for _, _, body in server.seen]


def test_a_plain_program_on_the_wire() -> None:
    program = Program("py3", "print(1)", {"data.txt": "a"}, ("-x", "é"))
    outcome, (body,) = judged(reply(ran("6 \n\n", cpu_time=12, memory=9_000_000)), program)
    assert outcome == Outcome(Verdict.PASSED, 1.0, "6 \n\n", "", 0.012, 9_000_000)
    assert body == {
        "language": "python",
        "version": "*",
        "files": [{"name": "main.py", "content": "print(1)"}, {"name": "data.txt", "content": "a"}],
        "stdin": "3",
        "args": ["-x", "é"],
        "compile_timeout": 20_000,
        "compile_cpu_time": 10_000,
        "run_timeout": 3000,
        "run_cpu_time": 1500,
        "run_memory_limit": 64 << 20,
    }


@pytest.mark.parametrize(
    ("answer", "verdict", "detail"),
    [
        (reply(ran("7\n")), Verdict.WRONG, ""),
        (reply(ran("6\n6\n")), Verdict.WRONG, ""),  # more lines than expected
        (reply(ran("")), Verdict.WRONG, ""),
        (reply(ran("", "boom", 1)), Verdict.CRASHED, "exit code 1\nboom"),
        (reply(ran("", "", None, signal="SIGSEGV", status="SG")), Verdict.CRASHED, "signal SIGSEGV"),
        (reply(ran("", **KILLED)), Verdict.TIMEOUT, "stopped after 1.5 s"),  # an older server tells the signal alone
        (reply(ran("", **KILLED, status="TO", message="Time limit exceeded")), Verdict.TIMEOUT, "stopped after 1.5 s"),
        (reply(ran("", "Traceback\nMemoryError\n", 1)), Verdict.MEMORY, "MemoryError"),
        (reply(ran("", "terminate called: std::bad_alloc", 134)), Verdict.MEMORY, "bad_alloc"),
        (reply(ran("", **KILLED, status="SG", memory=64 << 20)), Verdict.MEMORY, "64 MiB of 64"),
        (reply(ran("x" * 9, **KILLED, status="OL")), Verdict.CRASHED, "printed more"),
        (reply(ran("", "", 1), ran("", "main.cpp:1: error", 1)), Verdict.REFUSED, "main.cpp:1: error"),
        (reply(ran("", **KILLED), ran("", **KILLED)), Verdict.REFUSED, "the compiler was stopped"),
        (reply(ran("", "MemoryError is what I print", 0)), Verdict.WRONG, ""),
    ],
)
def test_what_a_reply_means(answer: Any, verdict: Verdict, detail: str) -> None:
    outcome, bodies = judged(answer)
    assert (outcome.verdict, outcome.score, len(bodies)) == (verdict, 0.0, 1)
    assert detail in outcome.detail if detail else not outcome.detail


@pytest.mark.parametrize(
    ("answer", "cause", "requests"),
    [
        ((500, ""), "answered 500", 3),
        ((502, "<html>Bad Gateway</html>"), "Bad Gateway", 3),
        ((429, {"message": "later"}, {"Retry-After": "0.05"}), "too much to do", 3),
        ((503, {"message": "stopping"}, {"Retry-After": "0.01"}), "too much to do", 3),
        ((401, {"message": "no"}), "it wants a token, PISTON_TOKEN", 1),
        ((400, {"message": "run_timeout cannot exceed the configured limit of 3000"}), "PISTON_RUN_TIMEOUT=NUMBER", 1),
        ((413, {"message": "too large"}), "answered 413: too large", 1),
        ((200, "not JSON"), "not a JSON object", 3),
        ((200, "[]"), "not a JSON object", 3),
        ((200, "{}"), "no run stage", 3),
        ((200, {"run": "?"}), "cannot be read", 3),
        ((200, {"message": "it broke"}), "it broke", 3),
        (cut, "", 3),
        (reply(ran("", "/piston/run: fork: retry: Resource temporarily unavailable\n", 254)), "overloaded", 3),
        (reply(ran("", **KILLED, status="XX", message="internal")), "overloaded", 3),
    ],
)
def test_a_failing_server_is_no_wrong_answer(answer: Any, cause: str, requests: int) -> None:
    outcome, bodies = judged(answer)
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert cause in outcome.detail
    assert len(bodies) == requests


@pytest.mark.parametrize("failure", [(500, ""), (429, "", {"Retry-After": "0.01"}), cut, (200, "garbage")])
def test_a_failure_that_passes_is_tried_again(failure: Any) -> None:
    outcome, bodies = judged([failure, failure, double])
    assert (outcome.verdict, outcome.output) == (Verdict.PASSED, "6\n")
    assert len(bodies) == 3


def test_a_program_that_says_it_is_overloaded_has_crashed() -> None:
    said = "fork: retry: Resource temporarily unavailable, and more\n"
    assert judged(reply(ran("", f"{said}of mine", 1)))[0].verdict is Verdict.CRASHED


def test_a_server_that_hangs_is_given_up() -> None:
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(36_000):
            await response.write(b" ")
            await asyncio.sleep(0.1)
        return response

    limits = Limits(seconds=0.1, wall_seconds=0.2, compile_seconds=0.05)
    for handler in (hang, drip):
        with standing_in(handler) as server:
            sandbox = PistonSandbox(endpoints=[server.url], tries=1, queue_seconds=0.1)
            (outcome,) = sandbox.run(DOUBLE, [Test("3", "6")], limits)  # or it takes an hour
            assert outcome.verdict is Verdict.INFRASTRUCTURE
            assert "no answer within" in outcome.detail or "imeout" in outcome.detail
            sandbox.close()


def test_nobody_listens() -> None:
    with standing_in(double) as server:
        port = server.port
    sandbox = PistonSandbox(endpoints=[f"127.0.0.1:{port}"], tries=2, patience=0.3)
    (outcome,) = sandbox.run(DOUBLE, [Test("3", "6")])
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert f"127.0.0.1:{port}" in outcome.detail
    sandbox.close()


def test_requests_are_spread_and_bounded() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.03)
        return await double(request)

    tests = [Test(str(number), str(2 * number)) for number in range(41)]
    with standing_in(slow) as one, standing_in(slow) as two:
        sandbox = PistonSandbox(endpoints=[one.url, two.url], max_requests_per_endpoint=3)
        outcomes = sandbox.run(DOUBLE, tests)
        sandbox.close()
        assert [item.output for item in outcomes] == [f"{2 * number}\n" for number in range(41)]
        assert one.most == two.most == 3
        assert 15 <= len(one.seen) <= 26


def test_several_threads_share_the_bound() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return await double(request)

    found: dict[int, list[Outcome]] = {}
    with standing_in(slow) as server:
        sandbox = PistonSandbox(endpoints=[server.url], max_requests_per_endpoint=4)

        def work(number: int) -> None:
            found[number] = sandbox.run(DOUBLE, [Test(str(number), str(2 * number))] * 3)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sandbox.close()
        assert server.most == 4
    assert all([item.output for item in found[number]] == [f"{2 * number}\n"] * 3 for number in range(8))


def test_a_dead_server_is_left_alone_and_taken_back() -> None:
    tests = [Test(str(number), str(2 * number)) for number in range(20)]
    with standing_in(double) as good, standing_in(double) as bad:
        sandbox = PistonSandbox(endpoints=[good.url, bad.url])
        bad.down()
        assert all(item.passed for item in sandbox.run(DOUBLE, tests))
        assert len(good.seen) == 20
        bad.up()
        time.sleep(0.3)  # its rest
        assert all(item.passed for item in sandbox.run(DOUBLE, tests))
        assert bad.seen
        sandbox.close()


def test_stopping_at_the_first_failure() -> None:
    tests = [Test(str(number), "8" if number == 4 else str(2 * number)) for number in (1, 2, 5, 3, 7, 9)]
    tests[2] = Test("5", "wrong")
    with standing_in(double) as server:
        sandbox = PistonSandbox(endpoints=[server.url])
        verdicts = [item.verdict.value for item in sandbox.run(DOUBLE, tests, stop_at_failure=True)]
        sandbox.close()
        assert verdicts == ["passed", "passed", "wrong", "skipped", "skipped", "skipped"]
        assert len(server.seen) == 3


def test_what_does_not_compile_is_sent_once() -> None:
    with standing_in(answering(reply(ran("", "", 1), ran("", "no", 1)))) as server:
        sandbox = PistonSandbox(endpoints=[server.url], max_requests_per_endpoint=8)
        outcomes = sandbox.run(Program("cpp", "int"), [Test()] * 9)
        sandbox.close()
        assert [item.verdict for item in outcomes] == [Verdict.REFUSED] * 9
        assert len(server.seen) == 1


def test_an_ioi_submission_on_the_wire() -> None:
    graders = {**SUM.graders, "graders/grader_config.json": CONFIG, "checker/checker.cpp": ""}
    submission = IOIProgram("Sum", SUM.source, graders)
    outcome, (body,) = judged(reply(ran("1.0\n", "ok\n"), ran()), submission, Test("1 2\n", "3\n"))
    assert outcome == Outcome(Verdict.PASSED, 1.0, detail="ok")
    assert {item["name"]: item["content"] for item in body["files"]} == {
        "graders/sum.cpp": SUM.source,
        "input.txt": "1 2\n",
        "correct_output.txt": "3\n",
        "graders/grader.cpp": "// g",
        "graders/sum.h": "// h",
        "graders/grader_config.json": CONFIG,
    }
    assert body["files"][0]["name"] == "graders/sum.cpp"
    assert (body["language"], body["run_timeout"], body["run_memory_limit"]) == ("cms_ioi", 4500, 64 << 20)


def test_an_ioi_task_without_a_config_gets_one() -> None:
    _, (body,) = judged(reply(ran("1\n"), ran()), SUM)
    files = {item["name"]: item["content"] for item in body["files"]}
    config = json.loads(files["graders/grader_config.json"])
    assert config == {"task_type": "Batch", "code": "sum", "time_limit": 1.5, "memory_limit": 64 << 20}


@pytest.mark.parametrize(
    ("run", "verdict", "score"),
    [
        (ran("0.35\n", "Output is partially correct\n"), Verdict.WRONG, 0.35),
        (ran("0\n", "Output isn't correct (diff)\n"), Verdict.WRONG, 0.0),
        (ran("0\n", "Time limit exceeded (2.0s)\n", 124), Verdict.TIMEOUT, 0.0),
        (ran("0\n", "Runtime error with exit code 139\n", 139), Verdict.CRASHED, 0.0),
        (ran("0\n", "std::bad_alloc\nRuntime error with exit code 134\n", 134), Verdict.MEMORY, 0.0),
        (ran("0\n", "Memory limit exceeded (256MB)\n", 134), Verdict.MEMORY, 0.0),
        (ran("", **KILLED), Verdict.TIMEOUT, 0.0),
        (ran("", "MemoryError", 1), Verdict.MEMORY, 0.0),
        (ran("", "Error: graders/grader_config.json not found", 1), Verdict.INFRASTRUCTURE, 0.0),
        (ran("nan\n"), Verdict.INFRASTRUCTURE, 0.0),
        (ran("7\n"), Verdict.INFRASTRUCTURE, 0.0),
        (ran("Sum is 3\n"), Verdict.INFRASTRUCTURE, 0.0),
        (ran("", "", 0), Verdict.INFRASTRUCTURE, 0.0),
    ],
)
def test_what_a_judge_says(run: dict[str, Any], verdict: Verdict, score: float) -> None:
    outcome, _ = judged(reply(run, ran()), SUM, Test("1 2", "3"))
    assert (outcome.verdict, outcome.score) == (verdict, score)


def test_a_task_whose_own_files_do_not_compile() -> None:
    failing = ran("", "checker.cpp:1: error\nCould not compile checker\n", 1)
    assert judged(reply(failing, failing), SUM)[0].verdict is Verdict.INFRASTRUCTURE
    failing = ran("", "sum.cpp:1: error\nFailed to compile sum\n", 1)
    assert judged(reply(failing, failing), SUM)[0].verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("language", "asked", "name"), [("python", "cf_python3", "main.py"), ("cpp", "c++17", "main.cpp")]
)
def test_a_codeforces_submission_on_the_wire(language: str, asked: str, name: str) -> None:
    submission = CodeforcesProgram(language, "# s", "print(1)", "file")
    outcome, (body,) = judged(reply(ran("1\n", "ok")), submission, Test("1\n", "2\n"))  # no compile stage
    assert (outcome.verdict, outcome.score) == (Verdict.PASSED, 1.0)
    assert body["files"] == [
        {"name": name, "content": "# s"},
        {"name": "input.txt", "content": "1\n"},
        {"name": "checker.py", "content": "print(1)"},
        {"name": "correct_output.txt", "content": "2\n"},
        {"name": "grader_config", "content": "TIME_LIMIT=1.5\nMEMORY_LIMIT=64\nINPUT_MODE=file"},
    ]
    assert (body["language"], body["run_timeout"]) == (asked, 11_500)


def test_without_an_expected_output_any_will_do() -> None:
    outcome, (body,) = judged(reply(ran("what it printed\n"), ran()), CodeforcesProgram("cpp", ""), Test("1"))
    assert (outcome.verdict, outcome.output) == (Verdict.PASSED, "what it printed")
    assert "correct_output.txt" not in {item["name"] for item in body["files"]}
    outcome, _ = judged(reply(ran("0\n", "Runtime error with exit code 1\n", 1), ran()), SUM, Test("1"))
    assert outcome.verdict is Verdict.CRASHED


def test_a_language_that_no_server_has() -> None:
    unknown = (400, {"message": "python-* runtime is unknown"})
    with pytest.raises(ConfigError, match="no Piston endpoint runs python"):
        judged(unknown)
    with pytest.raises(ConfigError, match="no sandbox runs 'cobolt'"):
        judged(double, Program("cobolt", ""))
    with pytest.raises(ConfigError, match="Python and C\\+\\+ alone"):
        judged(double, CodeforcesProgram("java", ""))
    with standing_in(answering(unknown)) as lacking, standing_in(double) as having:
        sandbox = PistonSandbox(endpoints=[lacking.url, having.url])
        assert all(item.passed for item in sandbox.run(DOUBLE, [Test("3", "6")] * 10))
        sandbox.close()


def test_the_token_goes_along_and_is_kept_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PISTON_TOKEN", "s3cret")
    with standing_in(double) as server:
        monkeypatch.setenv("PISTON_ENDPOINTS", f" {server.url}/api/v2/ ,")
        sandbox = PistonSandbox()
        assert sandbox.run(DOUBLE, [Test("3", "6")])[0].passed
        assert "s3cret" not in repr(sandbox)
        sandbox.close()
        assert server.headers[0]["Authorization"] == "Bearer s3cret"
        assert server.seen[0][:2] == ("POST", "/api/v2/execute")


def test_no_endpoint_at_all() -> None:
    with pytest.raises(ConfigError, match="sandbox=piston has no endpoint"):
        PistonSandbox().run(DOUBLE, [Test()])


def test_ugly_texts_arrive() -> None:
    ugly = "\ud800 \0 \r\n é 你 \U0001f600" + "x" * 100_000

    async def echo(request: web.Request) -> web.Response:
        return web.json_response(reply(ran((await request.json())["stdin"])))

    outcome, (body,) = judged(echo, Program("python", ugly), Test(ugly, ugly))
    assert outcome.passed
    assert body["files"][0]["content"] == ugly


def test_closing_ends_what_runs_and_frees_the_sandbox_for_more() -> None:
    async def hang(request: web.Request) -> web.Response:
        if (await request.json())["stdin"] == "hang":
            await asyncio.sleep(3600)
        return await double(request)

    found: list[Outcome] = []
    with standing_in(hang) as server:
        sandbox = PistonSandbox(endpoints=[server.url])
        thread = threading.Thread(target=lambda: found.extend(sandbox.run(DOUBLE, [Test("hang")] * 2)))
        thread.start()
        _wait(server)
        sandbox.close()
        thread.join(60)
        assert not thread.is_alive()
        assert [item.verdict for item in found] == [Verdict.INFRASTRUCTURE] * 2
        assert sandbox.run(DOUBLE, [Test("3", "6")])[0].passed
        sandbox.close()


def _wait(server: StandIn) -> None:
    deadline = time.monotonic() + 60
    while not server.seen:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_limits_of_the_config() -> None:
    with standing_in(double) as server:
        sandbox = PistonSandbox(endpoints=[server.url], limits={"seconds": 2, "wall_seconds": 4, "memory": 1 << 20})
        sandbox.run(DOUBLE, [Test("3", "6")])
        assert sandbox.run(DOUBLE, []) == []
        sandbox.close()
        body = json.loads(server.seen[0][2])
        assert (body["run_cpu_time"], body["run_timeout"], body["run_memory_limit"]) == (2000, 4000, 1 << 20)


@pytest.mark.parametrize("language", ["c++11", "cpp14", "c++20"])
def test_names_that_mean_something_else_there_are_refused(language):
    with pytest.raises(ConfigError, match="package codeforces"):
        PistonSandbox(endpoints=["http://127.0.0.1:9"]).run(Program(language, "int main() {}"), [Test("1", "1")])
