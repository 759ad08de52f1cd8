"""`python -m benchmarks.engines`: r1lab's client beside a bare asyncio client, and what the store costs.

One server, a stand-in in a process of its own that answers over real HTTP after latencies as a model's (drawn from the
request's seed, so that both clients meet the same ones), and both clients in turn, each in a process of its own: 64
requests in flight. With `--url` a real server, such as `vllm serve`, takes the stand-in's place. The bare client is
aiohttp and a semaphore, without retries, balancing or a record of anything.

The store, in two ways. r1lab's client once more in each round, with a store: the seconds beside those without. And
100,000 completions of 2,000 characters through `engines.stored.fill`, from an engine that costs nothing: the seconds
beside those that the same completions take at `TOKENS_A_SECOND`; opening it again; memory on the way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks.measure import claim, keep
from r1lab.engines.base import Completion, Sampling
from r1lab.engines.server import ServerEngine
from r1lab.engines.store import Store
from r1lab.engines.stored import fill

IN_FLIGHT, ROUNDS, KINDS = 64, 5, ("bare", "r1lab", "stored")
TOKENS = 400  # of a completion of the stand-in, in the mean
TOKENS_A_SECOND = 20_000.0  # of a run to compare the store with: a 7B model on one H100 makes fewer
MADE, PER_PROMPT, CHARACTERS = 100_000, 8, 2_000


def asked(count: int) -> list[list[dict[str, str]]]:
    """Prompts."""
    return [[{"role": "user", "content": f"What is {i + 100} + {7 * i + 111}?"}] for i in range(count)]


def serve(ready: Any) -> None:
    """The stand-in: an answer of some tokens, after as long as a model needs for them."""

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        dice = random.Random(body["seed"])
        tokens = 1 + int(dice.expovariate(1 / TOKENS)) % (4 * TOKENS)
        await asyncio.sleep(0.05 + tokens / 2000)
        message = {"role": "assistant", "content": "word " * tokens + f"\\boxed{{{tokens}}}"}
        usage = {"prompt_tokens": 20, "completion_tokens": tokens}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "stand-in"}]})

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", complete)
        app.router.add_get("/v1/models", models)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.put(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def stand_in() -> Iterator[str]:
    """The address of a stand-in in a process of its own."""
    ready: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=serve, args=(ready,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ready.get(timeout=60)}/v1"
    finally:
        process.terminate()
        process.join()


async def bare(url: str, model: str, requests: list[dict[str, Any]]) -> int:
    """The tokens of all requests, asked for as anybody would."""
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(body: dict[str, Any]) -> int:
            async with gate, session.post(f"{url}/chat/completions", json=body) as reply:
                answer = await reply.json()
                return int(answer["usage"]["completion_tokens"])

        return sum(await asyncio.gather(*(one({"model": model, **body}) for body in requests)))


def client(kind: str, url: str, count: int, longest: int) -> None:
    """One client's round, in this process; prints tokens, seconds, and seconds of CPU."""
    from r1lab.engines.chat import body_of

    engine = ServerEngine([url], in_flight=IN_FLIGHT)
    model, prompts = str(engine.served()["id"]), asked(count)
    sampling = Sampling(max_tokens=longest, seed=1)
    before, began = time.process_time(), time.perf_counter()
    if kind == "r1lab":
        tokens = sum(row[0].tokens for row in engine.generate(prompts, sampling))
    elif kind == "stored":
        counted: list[int] = []
        with tempfile.TemporaryDirectory(prefix="r1lab-store-") as folder, Store(Path(folder)) as opened:
            fill(engine, opened, prompts, sampling, {"model": model}, None, lambda item: counted.append(item.tokens))
        tokens = sum(counted)
    else:
        tokens = asyncio.run(bare(url, model, [body_of(model, prompt, sampling, 0) for prompt in prompts]))
    seconds = time.perf_counter() - began
    engine.close()
    print(json.dumps({"tokens": tokens, "seconds": seconds, "cpu": time.process_time() - before}))


def clients(url: str, count: int, longest: int) -> dict[str, Any]:
    """Every kind in turn, and the share of the bare one's tokens a second that r1lab's reaches in each round."""
    rounds = []
    for number in range(ROUNDS):
        order = KINDS if number % 2 == 0 else KINDS[::-1]
        found = {}
        for kind in order:
            command = [sys.executable, "-m", "benchmarks.engines", "--client", kind, "--url", url]
            command += ["--count", str(count), "--longest", str(longest)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[kind] = json.loads(done.stdout.splitlines()[-1])
        rounds.append(found)
    speeds = {kind: [item[kind]["tokens"] / item[kind]["seconds"] for item in rounds] for kind in KINDS}
    stored = [item["stored"]["seconds"] / item["r1lab"]["seconds"] for item in rounds]
    shares = [own / other for own, other in zip(speeds["r1lab"], speeds["bare"], strict=True)]
    return {
        "requests": count,
        "in_flight": IN_FLIGHT,
        "tokens_per_second": {kind: [round(value) for value in values] for kind, values in speeds.items()},
        "share_of_bare": [round(value, 3) for value in shares],
        "median_share": round(statistics.median(shares), 3),
        "cpu_seconds": {k: round(statistics.median(i[k]["cpu"] for i in rounds), 2) for k in KINDS},
        "seconds_with_store_beside_without": [round(value, 3) for value in stored],
        "median_with_store": round(statistics.median(stored), 3),
    }


class Instant:
    """An engine whose completions are there at once."""

    def generate(
        self, prompts: Any, sampling: Sampling, on_progress: Any = None, on_completion: Any = None
    ) -> list[Any]:
        text = "x" * CHARACTERS
        for place in range(len(prompts)):
            for index in range(sampling.first, sampling.first + sampling.n):
                on_completion(place, index, Completion(text, CHARACTERS // 4, "stop"))
        return []


def store(made: int) -> dict[str, Any]:
    """What keeping so many completions costs, in processes of their own so that memory can be told apart."""
    with tempfile.TemporaryDirectory(prefix="r1lab-store-") as folder:
        facts: dict[str, Any] = {}
        for part in ("write", "open"):
            command = [sys.executable, "-m", "benchmarks.engines", "--store", part, "--folder", folder]
            done = subprocess.run([*command, "--made", str(made)], capture_output=True, text=True, check=True)
            facts |= json.loads(done.stdout.splitlines()[-1])
    run = made * (CHARACTERS // 4) / TOKENS_A_SECOND
    return {
        **facts,
        "a_run_of_s": round(run, 1),
        "tokens_per_second_of_it": TOKENS_A_SECOND,
        "overhead": round(facts["write_s"] / run, 4),
    }


def store_part(part: str, folder: Path, made: int) -> None:
    """Write the store, or open it and look for what is missing; prints seconds and memory."""
    prompts, sampling = asked(made // PER_PROMPT), Sampling(n=PER_PROMPT)
    marks: list[int] = []

    def progress(done: int, total: int) -> None:
        if done in (total // 10, total):
            marks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    began = time.perf_counter()
    if part == "write":
        with Store(folder) as opened:
            fill(Instant(), opened, prompts, sampling, {"model": "m"}, progress)
        facts = {"completions": made, "write_s": round(time.perf_counter() - began, 2)}
        facts |= {"memory_mb_at_a_tenth": round(marks[0] / 1024), "memory_mb_at_the_end": round(marks[-1] / 1024)}
        print(json.dumps(facts))
        return
    with Store(folder) as opened:
        opening = time.perf_counter() - began
        nothing = fill(Instant(), opened, prompts, sampling, {"model": "m"}, progress)
        assert not nothing and len(opened) == made
    resuming = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps({"open_s": round(opening, 2), "resume_s": round(resuming, 2), "memory_mb_reopened": memory // 1024})
    )


def main() -> None:
    """Measure, or be one of the processes that are measured; exit code 1 where a figure misses its aim."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", help="of a real server, up to and with /v1")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--longest", type=int, default=2000)
    parser.add_argument("--made", type=int, default=MADE)
    parser.add_argument("--client", choices=KINDS)
    parser.add_argument("--store", choices=("write", "open"))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.client:
        client(given.client, given.url, given.count, given.longest)
    elif given.store:
        store_part(given.store, given.folder, given.made)
    elif given.url:
        found = clients(given.url, given.count, given.longest)
        keep("engines_real_server", {"client": found})
        sys.exit(not all(claims_of(found)))
    else:
        with stand_in() as url:
            found = clients(url, given.count, given.longest)
        kept = store(given.made)
        keep("engines", {"client": found, "store": kept})
        growth = round(kept["memory_mb_at_the_end"] / kept["memory_mb_at_a_tenth"], 2)
        reached = [
            *claims_of(found),
            claim(f"share of a run that the store takes, {given.made:,} completions", kept["overhead"], "<", 0.02),
            claim("seconds to open it and find nothing missing", kept["resume_s"], "<", 2.0),
            claim("memory at the end beside that at a tenth", growth, "<=", 1.1),
        ]
        sys.exit(not all(reached))


def claims_of(found: dict[str, Any]) -> list[bool]:
    """Print what is claimed of the client; whether each figure is as aimed at."""
    return [
        claim("share of a bare client's tokens a second at 64 in flight", found["median_share"], ">=", 0.97),
        claim("seconds with a store beside those without", found["median_with_store"], "<", 1.02),
    ]


if __name__ == "__main__":
    main()
