"""r1lab's client beside distilabel's, on the same rows and the same server, which answers after latencies as a model's.

python -m benchmarks.distilabel            # writes benchmarks/results/distilabel.json

The server is a process of its own, which takes as many requests at once as there are and notes when the first one came
and the last one was answered. So what is measured is how fast each client asks; distilabel's start and end are told
apart. Completions must be the same. Each round begins with the other one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.measure import claim, keep
from r1lab.engines.base import Completion, Sampling
from r1lab.engines.server import ServerEngine
from r1lab.generation.distilabel import DistilabelEngine

ROWS, N, ROUNDS, IN_FLIGHT = 1024, 2, 3, 64
TOKENS = 400  # of a completion, in the mean


def serve(out: Connection) -> None:
    """A server that says what it was asked, with the seed; told anything, it tells when it was asked since then."""
    from tests.engines.chat_server import ChatServer, completion

    times: list[float] = []

    async def answer(body: dict[str, Any]) -> Any:
        times.append(time.perf_counter())
        tokens = 1 + int(random.Random(body["seed"]).expovariate(1 / TOKENS)) % (4 * TOKENS)
        await asyncio.sleep(0.05 + tokens / 2000)
        times.append(time.perf_counter())
        return completion(f"{body['messages'][-1]['content']} {body['seed']}", tokens=tokens)

    server = ChatServer(lambda body, place: answer(body))
    out.send(server.url)
    while out.recv() != "end":
        out.send((len(times) // 2, max(times, default=0.0) - min(times, default=0.0)))
        times.clear()
    server.close()


def main() -> None:
    """Measure; exit code 1 where the own client is not ahead."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    engine = ServerEngine([here.recv()], in_flight=IN_FLIGHT)
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(ROWS)]
    rates: dict[str, list[float]] = {"own": [], "distilabel": []}
    whole: dict[str, list[float]] = {"own": [], "distilabel": []}

    def rate() -> float:
        here.send("told")
        count, seconds = here.recv()
        assert count == ROWS * N, count
        return float(count / seconds)

    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            made: dict[str, list[list[Completion]]] = {}
            sampling = Sampling(n=N, seed=number)
            for kind in ("own", "distilabel") if number % 2 == 0 else ("distilabel", "own"):
                began = time.perf_counter()
                if kind == "own":
                    made[kind] = engine.generate(prompts, sampling)
                else:
                    with DistilabelEngine(engine, "tiny", Path(folder) / str(number), ROWS, 1, None) as other:
                        made[kind] = other.generate(prompts, sampling)
                whole[kind].append(time.perf_counter() - began)
                rates[kind].append(rate())
            assert made["own"] == made["distilabel"]
    here.send("end")
    process.join()
    engine.close()
    ratios = [own / other for own, other in zip(rates["own"], rates["distilabel"], strict=True)]
    keep(
        "distilabel",
        {
            "completions": ROWS * N,
            "in_flight": IN_FLIGHT,
            "completions_a_second": {kind: [round(value, 1) for value in values] for kind, values in rates.items()},
            "seconds_with_start_and_end": {kind: [round(v, 1) for v in values] for kind, values in whole.items()},
            "own_beside_distilabel": [round(value, 3) for value in ratios],
            "median": round(statistics.median(ratios), 3),
        },
    )
    sys.exit(not claim("completions a second beside distilabel's", round(statistics.median(ratios), 3), ">", 1.0))


if __name__ == "__main__":
    main()
