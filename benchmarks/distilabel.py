"""r1lab's client beside distilabel's, on the same rows against the same server, which answers after a fixed time.

python -m benchmarks.distilabel            # writes benchmarks/results/distilabel.json

The server is a process of its own and answers every request after 20 ms, as many at once as there are: what differs is
the clients. distilabel is measured from its process's start, and one pipeline alone. Completions must be the same.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.measure import keep
from r1lab.engines.base import Completion, Sampling
from r1lab.engines.server import ServerEngine
from r1lab.generation.distilabel import DistilabelEngine

ROWS, N, ROUNDS, IN_FLIGHT, SECONDS = 512, 2, 2, 64, 0.02


def serve(out: Connection) -> None:
    """A server that says what it was asked, with the seed."""
    import asyncio

    from tests.engines.chat_server import ChatServer, completion

    async def answer(body: dict[str, Any]) -> Any:
        await asyncio.sleep(SECONDS)
        return completion(f"{body['messages'][-1]['content']} {body['seed']}", tokens=100)

    server = ChatServer(lambda body, place: answer(body))
    out.send(server.url)
    out.recv()
    server.close()


def main() -> None:
    """Measure; fail where the own client is not ahead."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    engine = ServerEngine([here.recv()], in_flight=IN_FLIGHT)
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(ROWS)]
    sampling = Sampling(n=N, seed=1)
    own, started, whole = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            began = time.perf_counter()
            mine = engine.generate(prompts, sampling)
            own.append(time.perf_counter() - began)
            began = time.perf_counter()
            with DistilabelEngine(engine, "tiny", Path(folder) / str(number), ROWS, 1, None) as other:
                other.generate(prompts[:1], sampling)
                between = time.perf_counter()
                theirs: list[list[Completion]] = other.generate(prompts, sampling)
                started.append(time.perf_counter() - between)
            whole.append(time.perf_counter() - began)
            assert theirs == mine
    here.send("end")
    process.join()
    engine.close()
    rates = {
        name: round(ROWS * N / min(times)) for name, times in (("own", own), ("distilabel", started), ("w", whole))
    }
    result = {
        "completions": ROWS * N,
        "in_flight": IN_FLIGHT,
        "own_per_s": rates["own"],
        "distilabel_per_s": rates["distilabel"],
        "distilabel_with_its_start_per_s": rates["w"],
        "times_faster": round(min(started) / min(own), 2),
    }
    keep("distilabel", result)
    assert result["times_faster"] > 1, result


if __name__ == "__main__":
    main()
