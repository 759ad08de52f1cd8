"""The sandbox server under load: parallel clients, each sending its next job when the last has come back.

    python -m benchmarks.sandbox_server [SECONDS [CLIENTS]]      60 s and 200 clients

Says whether every request got its own answer, how the server's memory stands at a third of the time and at the end, how
many jobs a second it does and how long one takes. The jobs are small Python programs, each with an answer of its own,
a share of them with a payload, one in twenty a C++ program that was seen before, one in fifty ended by its time limit.
Fails where a reply is lost or wrong, or where the server's memory has grown by more than a twentieth.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.measure import keep

SECONDS, CLIENTS = 60.0, 200
GROWTH = 1.05  # times its memory at a third that the server may have at the end
CPP = "#include <iostream>\nint main() { long n; std::cin >> n; std::cout << n * 3 << std::endl; }"
PYTHON = "import sys\nwords = sys.stdin.read().split()\nprint(int(words[0]) * 3, len(words))"


def job(number: int, chance: random.Random) -> tuple[dict[str, Any], str]:
    """A request, and what the program must print."""
    if number % 50 == 7:
        return _request("python", f"print({number}, flush=True)\nwhile True: pass", "", run_cpu_time=200), f"{number}\n"
    if number % 20 == 3:
        return _request("c++", CPP, str(number)), f"{number * 3}\n"
    more = chance.choice([0, 0, 0, 100, 20_000])
    return _request("python", PYTHON, f"{number} " + "x " * more), f"{number * 3} {more + 1}\n"


def _request(language: str, source: str, stdin: str, **limits: float) -> dict[str, Any]:
    return {"language": language, "version": "*", "files": [{"content": source}], "stdin": stdin, **limits}


def resident(pid: int) -> int:
    """Bytes of a process's own memory, what it shares counted in parts."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0
    return int(found[1]) * 1024 if found else 0


def memory_of(pid: int) -> dict[str, int]:
    """Bytes of the server and of the boxes, which are the processes below it."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    parents = {int(child): int(parent) for child, parent in zip(listed[::2], listed[1::2], strict=True)}
    family = [pid]
    for one in family:
        family += [child for child, parent in parents.items() if parent == one]
    return {"server": resident(pid), "boxes": sum(map(resident, family[1:]))}


async def load(url: str, pid: int, seconds: float, clients: int) -> dict[str, Any]:
    """Keep the server busy and count."""
    statuses: Counter[str] = Counter()
    took: list[float] = []
    memory: dict[str, dict[str, int]] = {}
    sent = 0
    began = time.monotonic()

    async def client(session: aiohttp.ClientSession, name: int) -> None:
        nonlocal sent
        chance = random.Random(name)
        while time.monotonic() - began < seconds:
            sent += 1
            body, expected = job(sent, chance)
            start = time.monotonic()
            try:
                async with session.post(f"{url}/execute", json=body) as response:
                    reply = await response.json()
            except aiohttp.ClientError as error:
                statuses[f"lost: {type(error).__name__}"] += 1
                continue
            took.append(time.monotonic() - start)
            right = response.status == 200 and reply["run"]["stdout"] == expected
            statuses["right" if right else f"wrong: {response.status}"] += 1

    async def watch() -> None:
        await asyncio.sleep(seconds / 3)
        memory["at_a_third"] = await asyncio.to_thread(memory_of, pid)

    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(watch(), *(client(session, name) for name in range(clients)))
    memory["at_the_end"] = await asyncio.to_thread(memory_of, pid)
    elapsed = time.monotonic() - began
    took.sort()
    return {
        "seconds": round(elapsed, 1),
        "clients": clients,
        "requests_sent": sent,
        "replies": len(took),
        "replies_by_kind": dict(statuses),
        "lost": sent - len(took),
        "jobs_per_second": round(len(took) / elapsed, 1),
        "latency_s": {f"p{share}": round(took[len(took) * share // 100], 3) for share in (5, 50, 95, 99)},
        "longest_s": round(took[-1], 3),
        "memory_mib": {
            when: {name: round(size / 2**20, 1) for name, size in sizes.items()} for when, sizes in memory.items()
        },
    }


def main() -> None:
    """Start a server, keep it busy, stop it."""
    words = [float(word) for word in sys.argv[1:]]
    seconds, clients = (*words, *(SECONDS, CLIENTS)[len(words) :])
    process = subprocess.Popen(
        [sys.executable, "-m", "r1lab", "task=sandbox_server", "task.port=0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PISTON_TOKEN": ""},
    )
    assert process.stdout is not None
    found = re.search(r"(http://\S+), ", process.stdout.readline())
    assert found, "the server did not start"
    try:
        measured = asyncio.run(load(found[1], process.pid, seconds, int(clients)))
    finally:
        began = time.monotonic()
        process.terminate()
        code = process.wait(30)
    keep("sandbox_server", {**measured, "stopping_s": round(time.monotonic() - began, 2), "exit_code": code})
    assert code == 0
    assert measured["replies_by_kind"] == {"right": measured["requests_sent"]}, measured["replies_by_kind"]
    third, end = measured["memory_mib"]["at_a_third"], measured["memory_mib"]["at_the_end"]
    assert end["server"] <= GROWTH * third["server"], measured["memory_mib"]


if __name__ == "__main__":
    main()
