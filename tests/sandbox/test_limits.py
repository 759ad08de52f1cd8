"""Each limit: what is just below passes, what is above gets the verdict that says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from r1lab.sandbox import seccomp
from r1lab.sandbox.base import Limits, Outcome, Program, Test, Verdict
from r1lab.sandbox.box import Box
from r1lab.sandbox.container import interpreter
from r1lab.sandbox.job import Job
from r1lab.sandbox.local import LocalSandbox

MEGABYTE = 1 << 20
LIMITS = Limits(seconds=2.0, wall_seconds=6.0, memory=128 * MEGABYTE, processes=16)


@pytest.fixture(scope="module", params=["auto", "watcher"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[LocalSandbox]:
    made = LocalSandbox(workers=1, tree=request.param)
    yield made
    made.close()


def run(sandbox: LocalSandbox, source: str, limits: Limits = LIMITS, language: str = "python") -> Outcome:
    """The outcome of one program on no input."""
    return sandbox.run(Program(language, source), [Test()], limits)[0]


BURN = "import time\nwhile time.process_time() < {}: pass\n"


def test_processor_time(sandbox: LocalSandbox) -> None:
    assert run(sandbox, BURN.format(0.3), replace(LIMITS, seconds=0.6)).passed
    over = run(sandbox, BURN.format(3), replace(LIMITS, seconds=0.3))
    assert (over.verdict, over.detail) == (Verdict.TIMEOUT, "limit on time")
    assert 0.3 <= over.seconds < 0.7


def test_processor_time_of_all_processes_together(sandbox: LocalSandbox) -> None:
    source = "import os\nfor _ in range(3): os.fork() or exec(burn) or os._exit(0)\nfor _ in range(3): os.wait()"
    source = f"burn = {BURN.format(0.25)!r}\n" + source
    assert run(sandbox, source, replace(LIMITS, seconds=1.5)).seconds >= 0.75
    over = run(sandbox, source, replace(LIMITS, seconds=0.5))
    assert (over.verdict, over.detail) == (Verdict.TIMEOUT, "limit on time")
    assert over.seconds >= 0.5


def test_processor_time_of_children_that_nobody_waits_for(sandbox: LocalSandbox) -> None:
    source = (
        "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "for _ in range(8):\n    if os.fork() == 0: exec(burn) or os._exit(0)\n"
        "    try: os.wait()\n    except ChildProcessError: pass\n"
    )
    over = run(sandbox, f"burn = {BURN.format(0.15)!r}\n" + source, replace(LIMITS, seconds=0.5, wall_seconds=20.0))
    assert (over.verdict, over.detail) == (Verdict.TIMEOUT, "limit on time")
    assert 0.5 <= over.seconds < 0.9


def test_wall_time(sandbox: LocalSandbox) -> None:
    assert run(sandbox, "import time\ntime.sleep(0.3)", replace(LIMITS, wall_seconds=2.0)).passed
    over = run(sandbox, "import time\ntime.sleep(9)", replace(LIMITS, wall_seconds=0.3))
    assert (over.verdict, over.detail) == (Verdict.TIMEOUT, "limit on wall time")
    assert over.seconds < 0.2


def test_what_a_program_printed_before_its_limit_is_kept(sandbox: LocalSandbox) -> None:
    source = "import sys, time\nprint('so far', flush=True)\nprint('and', file=sys.stderr)\ntime.sleep(9)"
    over = run(sandbox, source, replace(LIMITS, wall_seconds=0.3))
    assert (over.output, over.detail) == ("so far\n", "limit on wall time\nand")


@pytest.mark.parametrize(
    "source",
    [
        "x = bytearray({} << 20)",
        "import mmap\nx = mmap.mmap(-1, {} << 20, flags=mmap.MAP_PRIVATE)\nx[:] = bytes(1 << 20) * {}",
        "f = open('/tmp/x', 'wb')\nfor _ in range({}): f.write(bytes(1 << 20))",
        "f = open('/dev/shm/x', 'wb')\nfor _ in range({}): f.write(bytes(1 << 20))",
    ],
    ids=["heap", "map", "tmp", "shm"],
)
def test_memory(sandbox: LocalSandbox, source: str) -> None:
    limits = replace(LIMITS, file_size=1 << 30)
    hold = "\nimport time\ntime.sleep(0.06)"
    assert run(sandbox, source.format(50, 50) + hold, limits).passed
    over = run(sandbox, source.format(200, 200) + hold, limits)
    assert over.verdict in (Verdict.MEMORY, Verdict.CRASHED), over
    assert over.verdict is Verdict.MEMORY or "No space left" in over.detail


def test_memory_of_all_processes_together(sandbox: LocalSandbox) -> None:
    source = (
        "import os, time\nfor _ in range({}):\n    if os.fork() == 0:\n        x = bytearray(30 << 20)\n"
        "        time.sleep(0.3)\n        os._exit(0)\nfor _ in range({}): os.wait()"
    )
    assert run(sandbox, source.format(2, 2)).passed
    over = run(sandbox, source.format(8, 8) + "\nassert 0")
    assert over.verdict is Verdict.MEMORY, over


def test_memory_that_waits_in_sockets(sandbox: LocalSandbox) -> None:
    source = (
        "import os, socket, time\nheld = []\nfor _ in range(3): os.fork()\nfor _ in range(120):\n"
        "    held += (pair := socket.socketpair())\n    for end in pair:\n        end.setblocking(False)\n"
        "        try:\n            while True: end.send(bytes(1 << 14))\n        except BlockingIOError: pass\n"
        "time.sleep(0.5)"
    )
    over = run(sandbox, source, replace(LIMITS, seconds=20.0, wall_seconds=30.0))
    assert over.verdict is Verdict.MEMORY, over


def test_shared_pages_count_once(sandbox: LocalSandbox) -> None:
    source = (
        "import os, time\nx = bytearray(60 << 20)\nfor _ in range(6): os.fork() or (time.sleep(0.2), os._exit(0))\n"
        "for _ in range(6): print(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    outcome = run(sandbox, source)
    assert outcome.output == "0\n" * 6, outcome


def test_local_sockets_and_pipes_work(sandbox: LocalSandbox) -> None:
    source = (
        "import asyncio, socket, subprocess\na, b = socket.socketpair()\na.send(b'x' * 50000)\nn = 0\n"
        "while n < 50000: n += len(b.recv(9999))\n"
        "async def main():\n"
        "    p = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1)\n"
        "    return (await p.communicate(b'hi'))[0]\n"
        "print(n, asyncio.run(main()))"
    )
    assert run(sandbox, source).output == "50000 b'hi'\n"


def test_processes(sandbox: LocalSandbox) -> None:
    source = (
        "import threading, time\nts = [threading.Thread(target=time.sleep, args=(0.2,)) for _ in range({})]\n"
        "for t in ts: t.start()\nfor t in ts: t.join()"
    )
    assert run(sandbox, source.format(10)).passed
    assert run(sandbox, source.format(40)).verdict in (Verdict.CRASHED, Verdict.TIMEOUT)
    forks = "import os, time\nfor _ in range({}): os.fork() or (time.sleep(0.2), os._exit(0))"
    assert run(sandbox, forks.format(10)).passed
    over = run(sandbox, forks.format(40))
    assert over.verdict is Verdict.CRASHED
    assert "limit on processes" in over.detail or "Resource temporarily unavailable" in over.detail


def test_file_size(sandbox: LocalSandbox) -> None:
    limits = replace(LIMITS, file_size=MEGABYTE)
    assert run(sandbox, "open('x', 'wb').write(bytes(1 << 20))", limits).passed
    python = run(sandbox, "with open('x', 'wb') as file: file.write(bytes((1 << 20) + 1))", limits)
    assert (python.verdict, "File too large" in python.detail) == (Verdict.CRASHED, True)
    other = run(sandbox, "exec head -c 2000000 /dev/urandom > x", limits, "bash")
    assert (other.verdict, other.detail) == (Verdict.CRASHED, "limit on file size")


def test_open_files(sandbox: LocalSandbox) -> None:
    source = "fs = [open('main.py') for _ in range({})]"
    limits = replace(LIMITS, open_files=40)
    assert run(sandbox, source.format(30), limits).passed
    assert "Too many open files" in run(sandbox, source.format(40), limits).detail


def test_output(sandbox: LocalSandbox) -> None:
    limits = replace(LIMITS, output=1000)
    assert run(sandbox, "print('x' * 999)", limits).passed
    over = run(sandbox, "print('x' * 1000)", limits)
    assert (over.verdict, over.detail, over.output) == (Verdict.CRASHED, "limit on output", "x" * 1000)


def test_compile_time(sandbox: LocalSandbox) -> None:
    source = "#include </dev/urandom>\nint main() { return 0; }\n"
    (outcome,) = sandbox.run(Program("c++", source), [Test()], replace(LIMITS, compile_seconds=0.3))
    assert outcome.verdict is Verdict.REFUSED


def test_limits_change_from_run_to_run(sandbox: LocalSandbox) -> None:
    for memory, verdict in ((64, "memory"), (256, "passed"), (64, "memory"), (256, "passed")):
        source = "x = bytearray(100 << 20)\nimport time\ntime.sleep(0.06)"
        assert run(sandbox, source, replace(LIMITS, memory=memory * MEGABYTE)).verdict == verdict


def test_a_program_larger_than_its_memory_is_no_failure_of_the_sandbox(sandbox: LocalSandbox) -> None:
    source = "#include <unistd.h>\nint a[40 << 20] = {1};\nint main() { usleep(100000); return a[1]; }"
    assert run(sandbox, source, language="c").verdict is Verdict.MEMORY


def test_one_programs_cpu_and_memory_are_not_charged_to_the_next(sandbox: LocalSandbox) -> None:
    heavy = "x = bytearray(100 << 20)\n" + BURN.format(0.5)
    for _ in range(3):
        assert run(sandbox, heavy, replace(LIMITS, seconds=0.9)).passed
    light = run(sandbox, "print(1)")
    assert light.seconds < 0.1
    assert light.memory < 40 * MEGABYTE


@pytest.mark.parametrize("tree", ["auto", "watcher"])
def test_peak_of_a_tree_that_is_killed(tree: str) -> None:
    box = Box(interpreter(None), tree=tree)
    source = b"import os, time\nos.fork()\nx = bytearray(20 << 20)\nwhile True: pass"
    done = box.run(Job(None, {"main.py": source}), Limits(seconds=0.5))
    box.close()
    assert done.cause == "time"
    assert done.seconds >= 0.5
    assert done.memory >= (40 if tree == "watcher" else 0) * MEGABYTE


def test_the_filter_knows_every_call_by_two_numbers() -> None:
    for numbers in seccomp.REFUSED.values():
        assert len(numbers) == 2
    assert len(seccomp.program(True)) == len(seccomp.program(False)) + 8 * 11
