"""The client of chat servers, against a server that answers as it is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest

from r1lab.engines import server as module
from r1lab.engines.base import Sampling, seed_of
from r1lab.engines.chat import body_of, completion_of
from r1lab.engines.server import ServerEngine
from r1lab.errors import EngineError
from r1lab.remote import pool, retrying
from tests.engines.chat_server import Answer, ChatServer, completion


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ChatServer]]:
    monkeypatch.setattr(retrying, "FIRST", 0.01)
    monkeypatch.setattr(pool, "REST", 0.05)
    servers: list[ChatServer] = []

    def make(answer: Answer, **settings) -> ChatServer:
        servers.append(ChatServer(answer, **settings))
        return servers[-1]

    yield make
    for each in servers:
        each.close()


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def echo(body, place):
    return completion(f"{body['messages'][-1]['content']}/{body['seed']}")


def complete(server, prompts=("a", "b"), n=2, **settings):
    urls = [server.url] if isinstance(server, ChatServer) else [each.url for each in server]
    engine = ServerEngine(urls, **{"in_flight": 4, **settings})
    try:
        return engine.generate([ask(text) for text in prompts], Sampling(n=n, seed=5))
    finally:
        engine.close()


def test_order_seeds_and_counts(serve):
    server = serve(echo)
    found = complete(server, n=3)
    seeds = [[seed_of(5, ask(text), j) for j in range(3)] for text in "ab"]
    assert [[item.text for item in row] for row in found] == [
        [f"{text}/{seed}" for seed in row] for text, row in zip("ab", seeds, strict=True)
    ]
    assert len({seed for row in seeds for seed in row}) == 6
    assert {(item.tokens, item.prompt_tokens, item.finish) for row in found for item in row} == {(3, 7, "stop")}
    assert server.requests[0]["model"] == "tiny"


def test_more_samples_go_on_where_the_first_ended(serve):
    server = serve(echo)
    engine = ServerEngine([server.url])
    four = engine.generate([ask("a")], Sampling(n=4, seed=1))[0]
    two = engine.generate([ask("a")], Sampling(n=2, seed=1, first=2))[0]
    engine.close()
    assert two == four[2:]


def test_requests_in_flight_are_bounded(serve):
    async def slow(body):
        await asyncio.sleep(0.05)
        return completion("x")

    server = serve(lambda body, place: slow(body))
    complete(server, prompts=[str(i) for i in range(30)], n=1, in_flight=8)
    assert server.most == 8


def test_completions_are_given_as_they_come(serve):
    server = serve(echo)
    seen, counts = [], []
    engine = ServerEngine([server.url])
    rows = engine.generate([ask("a"), ask("b")], Sampling(n=2))
    nothing = engine.generate(
        [ask("a"), ask("b")],
        Sampling(n=2),
        lambda done, total: counts.append((done, total)),
        lambda place, index, item: seen.append((place, index, item)),
    )
    engine.close()
    assert nothing == []
    assert sorted(seen, key=lambda item: item[:2]) == [(i, j, rows[i][j]) for i in range(2) for j in range(2)]
    assert counts == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_a_callback_raises_ends_the_sampling(serve):
    server = serve(echo)
    engine = ServerEngine([server.url], in_flight=1)

    def full(place, index, item):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        engine.generate([ask(str(i)) for i in range(50)], Sampling(), None, full)
    engine.close()
    assert len(server.requests) < 5


@pytest.mark.parametrize(
    "trouble",
    [
        (500, {"error": "boom"}),
        (503, {"error": "busy"}, {"Retry-After": "0.01"}),
        (429, {"error": "slow down"}, {"Retry-After": "0.01"}),
        (408, {}),
        "drop",
        "no json",
        "{}",
        {"choices": []},
        {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]},
        completion(None, "content_filter"),
        completion([{"type": "text", "text": "half"}]),  # a list is not what was said
        completion("x", reasoning_content=["half"]),
        completion("x", tokens=-4),
        completion("x", tokens="many"),
        "[" * 100_000,
        (502, {"error": "Bad Gateway"}),
    ],
)
def test_trouble_that_passes_is_tried_again(serve, trouble):
    server = serve(lambda body, place: trouble if place < 3 else completion("at last"))
    ((item,),) = complete(server, prompts=["a"], n=1)
    assert (item.text, item.finish, item.error) == ("at last", "stop", "")
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("trouble", "finish", "words", "asked"),
    [
        ((500, {"error": "boom"}), "error", 'HTTP 500: {"error": "boom"}', 3),
        ("no json", "error", "the answer is no completion: no json", 3),
        ((400, {"error": "bad temperature"}), "error", "bad temperature", 1),
        ((413, {"error": "too large"}), "error", "too large", 1),
        ((400, {"error": "This model's maximum context length is 256 tokens"}), "overflow", "maximum context", 1),
        (completion(None, refusal="I will not"), "refusal", "I will not", 3),
        (completion("", "content_filter"), "refusal", "content filter", 3),
    ],
)
def test_trouble_that_stays_is_recorded_as_what_it_was(serve, trouble, finish, words, asked):
    server = serve(lambda body, place: trouble if body["messages"][0]["content"] == "bad" else completion("fine"))
    rows = complete(server, prompts=["bad", "good"], n=1, tries=3, in_flight=1)
    bad, good = rows[0][0], rows[1][0]
    assert (bad.text, bad.tokens, bad.finish) == ("", 0, finish)
    assert words in bad.error
    assert (good.text, good.error) == ("fine", "")
    assert sum(request["messages"][0]["content"] == "bad" for request in server.requests) == asked


def test_a_server_that_hangs_costs_its_time_limit(serve):
    server = serve(lambda body, place: "hang" if place == 0 else completion("x"))
    ((item,),) = complete(server, prompts=["a"], n=1, timeout=0.3)
    assert item.text == "x"


def test_a_dead_server_is_named_and_ends_the_run(serve):
    server = serve(lambda body, place: "drop")
    with pytest.raises(EngineError, match=rf"no endpoint answers: {server.url}"):
        complete(server, prompts=["a"], n=1, tries=100, patience=0.3)


def test_a_gateway_whose_server_is_away_costs_no_prompt_its_completion(serve):
    """Every prompt would else be recorded as failed while the server is started again."""
    server = serve(lambda body, place: (502, {}) if place < 10 else completion("x"))
    rows = complete(server, prompts=[str(i) for i in range(8)], n=1, in_flight=8, tries=30, patience=60)
    assert [row[0].error for row in rows] == [""] * 8
    gone = serve(lambda body, place: (503, {}))
    with pytest.raises(EngineError, match="no endpoint answers"):
        complete(gone, prompts=["a"], n=1, tries=100, patience=0.3)


def test_a_node_that_is_dark_is_left_alone(serve, monkeypatch):
    """Nobody answers a connection there: that is no slow completion, and the work goes to the others."""
    with socket.socket() as dark, socket.socket() as filling:
        dark.bind(("127.0.0.1", 0))
        dark.listen(0)
        filling.connect(dark.getsockname())  # the queue is full now, and further connections are not answered
        monkeypatch.setattr(module, "CONNECT", 0.2)
        good, url = serve(echo), f"http://127.0.0.1:{dark.getsockname()[1]}/v1"
        engine = ServerEngine([good.url, url], "tiny", in_flight=4, tries=10)
        rows = engine.generate([ask(str(i)) for i in range(40)], Sampling())
        engine.close()
        assert [row[0].error for row in rows] == [""] * 40
        alone = ServerEngine([url], "tiny", tries=100, patience=0.3)
        with pytest.raises(EngineError, match="no endpoint answers"):
            alone.generate([ask("a")], Sampling())
        alone.close()


def test_what_a_redirect_loses_is_said(serve):
    server = serve(lambda body, place: (302, {}, {"Location": "/v1/models"}))
    with pytest.raises(EngineError, match=rf"{server.url} redirects to {server.url}/models"):
        complete(server, prompts=["a"], n=1)
    assert len(server.requests) == 1


def test_every_server_serves_the_model(serve):
    one, other = serve(echo, models=("right",)), serve(echo, models=("wrong",))
    with pytest.raises(EngineError, match=rf"{other.url}/models does not serve 'right' but wrong"):
        complete([one, other])
    assert not other.requests


def test_a_server_that_is_away_at_first_is_no_obstacle(serve, monkeypatch):
    monkeypatch.setattr(module, "OTHERS", 0.1)
    server = serve(echo)
    urls = ["http://127.0.0.1:9/v1", server.url]
    engine = ServerEngine(urls, in_flight=2, tries=10, patience=60)
    assert engine.generate([ask("a")], Sampling())[0][0].text.startswith("a/")
    engine.close()


def test_an_address_that_is_no_api_is_said_at_once(serve):
    engine = ServerEngine([serve(echo).url.replace("/v1", "/v2")], patience=60)
    with pytest.raises(EngineError, match=r"/v2/models is not there \(HTTP 404\)\n    fix      engine.urls="):
        engine.served()
    engine.close()


def test_nobody_at_the_address():
    with pytest.raises(EngineError, match="does not say what it serves"):
        ServerEngine(["http://127.0.0.1:9/v1"], tries=1, patience=0.3).generate([ask("a")], Sampling())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_name_ends_the_run_at_once(serve, status):
    server = serve(lambda body, place: (status, {"error": "no such model"}))
    with pytest.raises(EngineError, match=rf"HTTP {status}.*no such model"):
        complete(server, prompts=[str(i) for i in range(20)], n=1, in_flight=1)
    assert len(server.requests) == 1


def test_several_models_must_be_chosen_from(serve):
    server = serve(echo, models=("one", "two"))
    with pytest.raises(EngineError, match="serves 2 models: one, two"):
        complete(server)
    assert complete(server, model="two")
    assert server.requests[-1]["model"] == "two"


def test_several_servers_share_the_work_and_one_may_die(serve):
    async def slow(body):
        await asyncio.sleep(0.01)
        return echo(body, 0)

    good, bad = serve(lambda body, place: slow(body)), serve(lambda body, place: slow(body) if place < 5 else "drop")
    rows = complete([good, bad], prompts=[str(i) for i in range(40)], n=1, in_flight=2, tries=20)
    assert [row[0].text.split("/")[0] for row in rows] == [str(i) for i in range(40)]
    assert len(bad.requests) > 5 and len(good.requests) >= 30


def test_the_key_is_sent(serve):
    server = serve(echo)
    complete(server, api_key="secret")
    assert set(server.keys) == {"Bearer secret"}


def test_the_request():
    plain = body_of("m", ask("a"), Sampling(temperature=0.6, top_p=0.95, max_tokens=9, seed=1), 0)
    assert plain.keys() == {"model", "messages", "temperature", "top_p", "max_tokens", "seed"}
    more = body_of("m", ask("a"), Sampling(top_k=20, min_p=0.1), 0)
    assert (more["top_k"], more["min_p"]) == (20, 0.1)
    assert all(0 <= seed_of(seed, ask("a"), 0) < 2**31 for seed in range(200))


def test_reasoning_is_kept_apart():
    for name in ("reasoning_content", "reasoning"):
        found = completion_of(completion("4", **{name: "2 + 2"}))
        assert (found.text, found.reasoning) == ("4", "2 + 2")
    assert completion_of(completion(None, "length", reasoning="on and on")).text == ""
    assert completion_of(completion("")).text == ""  # an answer that is empty is an answer
    assert module.TOO_LONG
