"""sandbox=e2b and sandbox=morph through their SDKs, over HTTP, against stand-ins that run what they are sent."""

from __future__ import annotations

import asyncio
import base64
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from r1lab.errors import ConfigError
from r1lab.providers import e2b, machine, morph
from r1lab.providers.machine import MachineSandbox
from r1lab.remote import retrying
from r1lab.sandbox.base import CodeforcesProgram, IOIProgram, Limits, Outcome, Program, Test, Verdict
from tests.sandbox.providers import E2B, Failure, Morph, Provider
from tests.sandbox.stand_in import cut, standing_in
from tests.sandbox.test_contest import HALVE, ioi

pytestmark = pytest.mark.whole

DOUBLE = Program("python", "print(int(input()) * 2)")
LIMITS = Limits(seconds=1, wall_seconds=2, memory=128 << 20)
Make = Callable[..., MachineSandbox]
GRADER = (
    '#include <cstdio>\n#include "sum.h"\nint main() { int a, b; scanf("%d %d", &a, &b); printf("%d\\n", add(a, b)); }'
)
CHECKER = """#include <cstdio>
int main(int, char **v) {
    int given, right;
    fscanf(fopen(v[3], "r"), "%d", &given);
    fscanf(fopen(v[2], "r"), "%d", &right);
    printf(given == right ? "1.0" : given == -right ? "0.5" : "0.0");
    fprintf(stderr, "checked");
}"""
GRADERS = {"graders/grader.cpp": GRADER, "graders/sum.h": "int add(int, int);"}
ADD = '#include "sum.h"\nint add(int a, int b) { return %s; }'


@pytest.fixture(params=["e2b", "morph"])
def provider(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A provider that the SDK's own settings point to."""
    pytest.importorskip("e2b_code_interpreter" if request.param == "e2b" else "morphcloud.api")
    monkeypatch.setattr(retrying, "FIRST", 0.02)
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    made: E2B | Morph = E2B(tmp_path / "vms") if request.param == "e2b" else Morph(tmp_path / "vms")
    with standing_in(made.answer) as server:
        monkeypatch.setenv("E2B_API_URL", server.url)
        monkeypatch.setenv("E2B_SANDBOX_URL", server.url)
        monkeypatch.setenv("E2B_HTTP_VERSION", "1.1")
        monkeypatch.setenv("E2B_API_KEY", made.key)
        monkeypatch.setenv("MORPH_BASE_URL", f"{server.url}/api")
        monkeypatch.setenv("MORPH_API_KEY", made.key)
        monkeypatch.setenv("MORPH_HTTP_TRANSPORT_SHARDS", "1")  # 32 take their time
        if isinstance(made, Morph):
            made.snapshots.append(made._snapshot("ready", morph.DIGEST))
        yield made
        left = [name for name in made.started if name not in made.ended]
        assert not left or "kill" in made.failures, "machines were left behind"


@pytest.fixture
def make(provider: Provider) -> Iterator[Make]:
    """Makes the provider's sandbox."""
    kind: type[MachineSandbox] = e2b.E2BSandbox if isinstance(provider, E2B) else morph.MorphSandbox
    sandboxes: list[MachineSandbox] = []

    def made(**settings: object) -> MachineSandbox:
        sandboxes.append(kind(**{"tries": 3, **settings}))  # type: ignore[arg-type]
        return sandboxes[-1]

    yield made
    for sandbox in sandboxes:
        sandbox.close()


def test_a_submission_runs_on_one_machine(make: Make, provider: Provider) -> None:
    tests = [Test("x", "0"), Test("3", "7")] + [Test(str(number), f" {2 * number} \n") for number in range(5)]
    outcomes = make().run(DOUBLE, tests, LIMITS)
    assert [item.verdict.value for item in outcomes] == ["crashed", "wrong"] + ["passed"] * 5
    assert [item.output for item in outcomes[2:]] == ["0\n", "2\n", "4\n", "6\n", "8\n"]
    assert "ValueError" in outcomes[0].detail
    assert provider.started == provider.ended == ["machine0"]


def test_no_expected_output_leaves(make: Make, provider: Provider) -> None:
    make().run(DOUBLE, [Test("1", "never-to-be-sent")], LIMITS)
    sent = "".join(provider.bodies)
    carried = [body for body in provider.bodies if not body.startswith(('"""', "\nimport"))]
    texts = [
        sent,
        *(
            unpacked(item)
            for body in carried
            for item in re.findall(r"(?<![A-Za-z0-9+/])e[JN][A-Za-z0-9+/=]{20,}", body)
        ),
    ]
    assert any('"print(int(input()) * 2)"' in text for text in texts)  # the job was looked into
    assert not any("never-to-be-sent" in text for text in texts)


def unpacked(text: str) -> str:
    return zlib.decompress(base64.b64decode(text)).decode()


def test_compiled_once_for_all_tests(make: Make) -> None:
    source = "#include <iostream>\nint main() { int n; std::cin >> n; std::cout << 2 * n; }"
    sandbox = make()
    outcomes = sandbox.run(Program("cpp", source), [Test("1", "2"), Test("2", "4")], LIMITS)
    assert [item.passed for item in outcomes] == [True, True]
    refused = sandbox.run(Program("cpp", "int main( {"), [Test("1", "2")] * 2, LIMITS)
    assert [item.verdict for item in refused] == [Verdict.REFUSED] * 2
    assert "error" in refused[0].detail


def test_stopping_at_the_first_failure(make: Make) -> None:
    tests = [Test("1", "2"), Test("2", "5"), Test("3", "6"), Test("x", "")]
    sandbox = make()
    outcomes = sandbox.run(DOUBLE, tests, LIMITS, stop_at_failure=True)
    assert [item.verdict.value for item in outcomes] == ["passed", "wrong", "skipped", "skipped"]
    outcomes = sandbox.run(DOUBLE, tests[::-1], LIMITS, stop_at_failure=True)
    assert [item.verdict.value for item in outcomes] == ["crashed", "skipped", "skipped", "skipped"]


def test_a_checker_runs_on_a_machine_of_its_own(make: Make, provider: Provider) -> None:
    tests = [Test("1 2", "3"), Test("3 4", "7")]
    sandbox = make()
    task = {**GRADERS, "checker/checker.cpp": CHECKER}
    for body, scores in (("a == 1 ? 3 : -7", [1.0, 0.5]), ("a == 1 ? -3 : 9", [0.5, 0.0])):
        outcomes = sandbox.run(IOIProgram("sum", ADD % body, task), tests, LIMITS)
        assert [item.score for item in outcomes] == scores
        assert outcomes[0].detail == "checked"
    assert len(provider.started) == 4
    outcomes = sandbox.run(IOIProgram("sum", ADD % "a + b", GRADERS), tests, LIMITS)
    assert [item.passed for item in outcomes] == [True, True]
    assert len(provider.started) == 5
    broken = {**GRADERS, "checker/checker.cpp": "int main("}
    (outcome,) = sandbox.run(IOIProgram("sum", ADD % "a + b", broken), tests[:1], LIMITS)
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "checker does not compile" in outcome.detail


def test_codeforces(make: Make) -> None:
    sandbox = make()
    checker = "import sys\nprint(int(open(sys.argv[3]).read().split()[-1] == open(sys.argv[2]).read().split()[-1]))"
    python = "print('Yes', int(input()) * 2)"
    (outcome,) = sandbox.run(CodeforcesProgram("python", python), [Test("3\r\n", "YES\n6")], LIMITS)
    assert outcome.passed
    (outcome,) = sandbox.run(CodeforcesProgram("python", python), [Test("3", "NO 6")], LIMITS)
    assert outcome.verdict is Verdict.WRONG
    (outcome,) = sandbox.run(CodeforcesProgram("python", python, checker), [Test("3", "whatever 6")], LIMITS)
    assert outcome.passed
    by_file = "open('output.txt', 'w').write(str(int(open('input.txt').read()) * 2))"
    (outcome,) = sandbox.run(CodeforcesProgram("python", by_file, None, "file"), [Test("3", "6")], LIMITS)
    assert outcome.passed


@pytest.mark.parametrize("way", ["std_io", "fifo_io"])
def test_a_task_with_a_manager(make: Make, way: str) -> None:
    outcomes = make().run(ioi("guess", HALVE, user_io=way), [Test("1000 77"), Test("1000 1000")], LIMITS)
    assert [(item.verdict, item.score, item.detail) for item in outcomes] == [(Verdict.PASSED, 1.0, "found")] * 2


def test_a_task_that_asks_for_too_much_is_no_wrong_answer(make: Make) -> None:
    (outcome,) = make().run(ioi("guess", HALVE, num_processes=99), [Test("1000 77")], LIMITS)
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "99 processes" in outcome.detail


async def busy(_request: web.Request) -> web.Response:
    return web.json_response({"code": 429, "message": "slow down", "detail": "slow down"}, status=429)


async def broken(_request: web.Request) -> web.Response:
    return web.Response(status=503, text="<html>no upstream</html>")


async def garbage(_request: web.Request) -> web.Response:
    return web.Response(text="what is this?", content_type="text/plain")


async def nothing(_request: web.Request) -> web.Response:
    return web.json_response({})


@pytest.mark.parametrize(
    ("step", "failure"),
    [("create", busy), ("create", broken), ("create", garbage), ("run", busy), ("run", cut), ("run", nothing)],
)
def test_failures_are_tried_again_on_another_machine(
    make: Make, provider: Provider, step: str, failure: Failure
) -> None:
    step = "execute" if step == "run" and isinstance(provider, E2B) else step
    provider.failures[step] = [failure] * 2 if failure is not cut else [cut]
    outcomes = make().run(DOUBLE, [Test("2", "4")], LIMITS)
    assert outcomes[0].passed
    assert not provider.failures[step]


@pytest.mark.parametrize("failure", [broken, cut, garbage, nothing])
def test_failures_that_stay_are_no_wrong_answers(make: Make, provider: Provider, failure: Failure) -> None:
    sandbox = make(tries=2)
    for step in ("create", "execute" if isinstance(provider, E2B) else "run"):
        provider.failures = {step: [failure] * 20}
        outcomes = sandbox.run(DOUBLE, [Test("2", "4")] * 2, LIMITS)
        assert [item.verdict for item in outcomes] == [Verdict.INFRASTRUCTURE] * 2
        assert outcomes[0].detail


def test_a_refused_key_is_not_tried_again(make: Make, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("E2B_API_KEY", "MORPH_API_KEY"):
        monkeypatch.setenv(name, "wr0ng-key")
    (outcome,) = make().run(DOUBLE, [Test("2", "4")], LIMITS)
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert re.search(r"is \w+_API_KEY right\?", outcome.detail)
    assert "wr0ng-key" not in outcome.detail
    assert provider.started == []


def test_a_machine_that_hangs_is_given_up(make: Make, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    monkeypatch.setattr(machine, "START", 0.1)
    limits = Limits(seconds=0.1, wall_seconds=0.1)
    provider.failures = {"execute": [hang], "create": [hang] if isinstance(provider, Morph) else []}
    (outcome,) = make(tries=1).run(DOUBLE, [Test("2", "4")], limits)
    assert outcome.verdict is Verdict.INFRASTRUCTURE


def test_a_machine_that_cannot_be_ended_spoils_nothing(make: Make, provider: Provider) -> None:
    provider.failures["kill"] = [broken] * 9
    assert make().run(DOUBLE, [Test("2", "4")], LIMITS)[0].passed


def test_machines_at_once_are_bounded(make: Make, provider: Provider) -> None:
    sandbox = make(max_sandboxes=2)
    found: dict[int, list[Outcome]] = {}

    def work(number: int) -> None:
        found[number] = sandbox.run(DOUBLE, [Test(str(number), str(2 * number))], LIMITS)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number][0].passed for number in range(6))
    assert provider.most == 2


def test_closing_gives_machines_back(make: Make, provider: Provider) -> None:
    sandbox = make()
    found: list[Outcome] = []
    sleeper = Program("python", "import time; time.sleep(6)")
    limits = Limits(seconds=1, wall_seconds=30, memory=128 << 20)
    thread = threading.Thread(target=lambda: found.extend(sandbox.run(sleeper, [Test()], limits)))
    thread.start()
    deadline = time.monotonic() + 60
    while not provider.bodies and time.monotonic() < deadline:
        time.sleep(0.01)
    sandbox.close()
    thread.join(60)
    assert [item.verdict for item in found] == [Verdict.INFRASTRUCTURE]
    assert provider.ended == provider.started
    assert sandbox.run(DOUBLE, [Test("2", "4")], LIMITS)[0].passed


def test_large_inputs_arrive(make: Make) -> None:
    import random

    text = "".join(random.Random(1).choices("abcdefghij\n", k=300_000)) + "é\U0001f600"
    (outcome,) = make().run(
        Program("python", "import sys; print(sys.stdin.read()[::-1])"), [Test(text, text[::-1])], LIMITS
    )
    assert outcome.passed


def test_a_missing_key_says_so(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "E2B_API_KEY" if isinstance(provider, E2B) else "MORPH_API_KEY"
    kind = e2b.E2BSandbox if isinstance(provider, E2B) else morph.MorphSandbox
    monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match=f"needs {name}"):
        kind()
    kind(router_url="localhost:1").close()
    (tmp_path / ".env").write_text(f"{name}={provider.key}\n")
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    sandbox = kind(tries=1)
    assert sandbox.run(DOUBLE, [Test("2", "4")], LIMITS)[0].passed
    assert provider.key not in repr(sandbox)
    sandbox.close()


def test_e2b_machines_have_no_network_and_end_by_themselves(make: Make, provider: Provider) -> None:
    make(template="mine").run(DOUBLE, [Test("2", "4")], LIMITS) if isinstance(provider, E2B) else make().run(
        DOUBLE, [Test()]
    )
    if isinstance(provider, E2B):
        (asked,) = provider.created
        assert (asked["templateID"], asked["allow_internet_access"]) == ("mine", False)
        assert 60 < int(str(asked["timeout"])) < 600
    if isinstance(provider, Morph):
        assert len(provider.lives) == 1 and 60 < int(str(provider.lives[0])) < 600


def test_morph_makes_its_snapshot_once(make: Make, provider: Provider) -> None:
    if not isinstance(provider, Morph):
        return
    provider.snapshots.clear()
    sandbox = make()
    assert all(sandbox.run(DOUBLE, [Test("2", "4")], LIMITS)[0].passed for _ in range(2))
    assert [item["digest"] for item in provider.snapshots] == [morph.DIGEST]
    assert sum("apt-get install" in command for command in provider.commands) == 1
    assert len(provider.started) == 3
