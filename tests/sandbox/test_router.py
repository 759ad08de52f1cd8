"""A router in the place of a provider: what goes to it, both kinds of reply, and its failures."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from r1lab.providers.e2b import E2BSandbox
from r1lab.providers.morph import MorphSandbox
from r1lab.remote import retrying
from r1lab.sandbox.base import Limits, Outcome, Program, Test, Verdict
from tests.sandbox.providers import shell
from tests.sandbox.stand_in import cut, standing_in

DOUBLE = Program("python", "print(int(input()) * 2)")
LIMITS = Limits(seconds=1, wall_seconds=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST", 0.02)


def like_e2b(stdout: str) -> dict[str, Any]:
    """As Open-R1's router for E2B tells a script that printed."""
    logs = {"stdout": [stdout[:100], stdout[100:]], "stderr": []}
    return {"execution": {"results": [], "logs": logs, "error": None, "execution_count": 1}, "exception_str": None}


def like_morph(stdout: str) -> dict[str, Any]:
    """As its router for Morph does."""
    return {"text": stdout, "exception_str": None}


def judged(kind: Any, answers: list[Any]) -> tuple[list[Outcome], list[dict[str, Any]]]:
    """The outcomes of two tests where the router answers so, and what it was sent."""

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer in (like_e2b, like_morph):
            (script,) = (await request.json())["scripts"]
            _, stdout, _ = await shell([sys.executable, "-c", script], Path.cwd())
            return web.json_response([answer(stdout)])
        if callable(answer):
            return await answer(request)  # type: ignore[no-any-return]
        status, body = answer
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    with standing_in(handler) as server:
        sandbox = kind(router_url=f"127.0.0.1:{server.port}", tries=3)
        outcomes = sandbox.run(DOUBLE, [Test("2", "secret 4"), Test("3", "6")], LIMITS)
        sandbox.close()
        return outcomes, [json.loads(body) for _, _, body in server.seen]


@pytest.mark.parametrize("kind", [E2BSandbox, MorphSandbox])
@pytest.mark.parametrize("answer", [like_e2b, like_morph])
def test_either_kind_of_router_will_do(kind: Any, answer: Any) -> None:
    outcomes, (body,) = judged(kind, [answer])
    assert [item.verdict for item in outcomes] == [Verdict.WRONG, Verdict.PASSED]
    assert set(body) == {"scripts", "languages", "timeout", "request_timeout"}
    assert (body["languages"], type(body["timeout"]), type(body["request_timeout"])) == (["python"], int, int)
    assert "secret" not in body["scripts"][0]


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        ((500, "it broke"), "answered 500: it broke"),
        ((429, ""), "answered 429"),
        (cut, "the router http://127.0.0.1"),
        ((200, "what?"), "no result"),
        ((200, []), "no result"),
        ((200, [{"execution": {"logs": None, "error": None}}]), "no result"),
        ((200, [{"execution": None, "exception_str": "no machine"}]), "could not run it: no machine"),
        ((200, [{"text": "", "exception_str": "No output from execution"}]), "No output from execution"),
        ((200, [like_e2b("nothing of use")]), "nothing that can be read"),
    ],
)
def test_failures(failure: Any, cause: str) -> None:
    outcomes, sent = judged(E2BSandbox, [failure])
    assert [item.verdict for item in outcomes] == [Verdict.INFRASTRUCTURE] * 2
    assert cause in outcomes[0].detail
    assert len(sent) == 3
    outcomes, sent = judged(E2BSandbox, [failure, failure, like_e2b])
    assert outcomes[1].passed


def test_a_request_that_the_router_refuses_is_sent_once() -> None:
    outcomes, sent = judged(E2BSandbox, [(422, {"detail": "field required"})])
    assert (outcomes[0].verdict, len(sent)) == (Verdict.INFRASTRUCTURE, 1)
    assert "field required" in outcomes[0].detail


def test_a_router_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1lab.providers.machine.START", 0.1)

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        raise AssertionError

    with standing_in(hang) as server:
        sandbox = E2BSandbox(router_url=server.url, tries=1)
        (outcome,) = sandbox.run(DOUBLE, [Test("2", "4")], Limits(seconds=0.1, wall_seconds=0.1))
        sandbox.close()
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "did not answer within 1 s" in outcome.detail
