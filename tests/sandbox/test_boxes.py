"""What boxes cost and leave: kills from outside, of the owner and of the spawner; threads, forks, closing, a machine
without bubblewrap.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from r1lab.errors import SandboxError
from r1lab.sandbox import cgroup
from r1lab.sandbox.base import Limits, Program, Test, Verdict
from r1lab.sandbox.box import Box
from r1lab.sandbox.job import Job
from r1lab.sandbox.local import LocalSandbox
from tests.sandbox.attacking import BOX_PROCESSES, children, settled

PYTHON = Path("/usr/bin/python3")
DOUBLE = Program("python", "print(int(input()) * 2)")
SLEEP = Program("python", "import time\ntime.sleep(float(input()))\nprint('awake')")


@pytest.fixture
def sandbox() -> Iterator[LocalSandbox]:
    made = LocalSandbox(workers=2)
    yield made
    made.close()


def descriptors_open() -> int:
    """Open files of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def groups(number: int | None = None) -> list[str]:
    """Names of the cgroups that a process made, this one or another."""
    above = cgroup.create(10**6)
    if above is None:
        return []
    found = [item.name for item in above.memory.parent.glob(f"{cgroup.PREFIX}-{number or os.getpid()}-*")]
    found.remove(above.memory.name) if above.memory.name in found else None
    above.remove()
    return found


def test_closing_leaves_nothing_and_the_sandbox_runs_again(sandbox: LocalSandbox) -> None:
    descriptors = descriptors_open()
    for _ in range(3):
        assert sandbox.run(DOUBLE, [Test("4", "8")])[0].passed
        assert len(sandbox.idle) == 1
        sandbox.close()
        assert children() == set()
        assert groups() == []
        assert descriptors_open() == descriptors
        assert sandbox.boxes == set()


def test_closing_ends_what_is_running(sandbox: LocalSandbox) -> None:
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(sandbox.run, SLEEP, [Test("3000")], Limits(wall_seconds=4000))
        wait_for(lambda: any(started(box) for box in sandbox.boxes))
        sandbox.close()
        (outcome,) = running.result()  # or it takes an hour
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "closed" in outcome.detail
    assert children() == set()
    assert sandbox.run(DOUBLE, [Test("4", "8")])[0].passed


def test_many_threads_share_the_boxes_and_nothing_gets_mixed_up(sandbox: LocalSandbox) -> None:
    def one(number: int) -> bool:
        good = sandbox.run(DOUBLE, [Test(str(number), str(number * 2))])[0].verdict is Verdict.PASSED
        return good and sandbox.run(DOUBLE, [Test(str(number), "0")])[0].verdict is Verdict.WRONG

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(one, range(1, 101)))
    assert len(sandbox.boxes) == len(sandbox.idle) == 2


def test_a_box_killed_from_outside_costs_its_job_one_more_try(sandbox: LocalSandbox) -> None:
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(sandbox.run, SLEEP, [Test("1", "awake")])
        wait_for(lambda: any(started(box) for box in sandbox.boxes))
        (box,) = sandbox.boxes
        kill(box)
        assert running.result()[0].verdict is Verdict.PASSED
    assert sandbox.idle != [box]
    settled(len(sandbox.boxes) * BOX_PROCESSES)


def test_a_box_killed_twice_is_a_failure_of_the_sandbox(sandbox: LocalSandbox) -> None:
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(sandbox.run, SLEEP, [Test("20", "no")], Limits(wall_seconds=30))
        killed: set[Box] = set()
        for _ in range(2):
            wait_for(lambda: any(started(box) for box in sandbox.boxes - killed))
            (box,) = sandbox.boxes - killed
            kill(box)
            killed.add(box)
        (outcome,) = running.result()
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "the box ended" in outcome.detail
    assert sandbox.run(DOUBLE, [Test("4", "8")])[0].passed


def test_an_idle_box_killed_from_outside_is_replaced(sandbox: LocalSandbox) -> None:
    sandbox.run(DOUBLE, [Test("4", "8")])
    kill(sandbox.idle[0])
    assert sandbox.run(DOUBLE, [Test("4", "8")])[0].passed


def test_the_death_of_the_owner_leaves_no_process_and_the_next_clears_its_groups() -> None:
    code = """
    import os, sys, threading
    from r1lab.sandbox.base import Limits, Program, Test
    from r1lab.sandbox.local import LocalSandbox
    sandbox = LocalSandbox(workers=2)
    sandbox.run(Program("python", ""), [Test()])
    long = Program("python", "import os, time\\nos.fork()\\nos.setsid() if os.fork() == 0 else 0\\ntime.sleep(60)")
    threading.Thread(target=sandbox.run, args=(long, [Test()], Limits(wall_seconds=90))).start()
    print("ready", flush=True)
    sys.stdin.read()
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout and owner.stdin
    assert owner.stdout.readline() == "ready\n"
    wait_for(lambda: len(children()) >= 8)
    below = children() - {owner.pid}
    owner.kill()
    owner.wait()
    owner.stdin.close()
    owner.stdout.close()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
    assert groups(owner.pid) == []  # whose making swept them


def test_a_forked_process_makes_boxes_of_its_own(sandbox: LocalSandbox) -> None:
    sandbox.run(DOUBLE, [Test("4", "8")])
    (box,) = sandbox.idle
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    workers = [context.Process(target=in_fork, args=(sandbox, number, told)) for number in (10, 20)]
    for worker in workers:
        worker.start()
    for number in range(50):
        assert sandbox.run(DOUBLE, [Test(str(number), str(number * 2))])[0].passed
    assert sorted(told.get() for _ in workers) == [(10, 20), (20, 20)]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sandbox.idle == [box]


def in_fork(sandbox: LocalSandbox, start: int, told: Any) -> None:
    """Programs run from a process that was forked while the sandbox had boxes; how many of 20 passed."""
    outcomes = [sandbox.run(DOUBLE, [Test(str(n), str(n * 2))])[0] for n in range(start, start + 20)]
    sandbox.close()
    told.put((start, sum(item.passed for item in outcomes)))


def test_who_needs_many_boxes_gets_a_turn_among_many_who_need_one(sandbox: LocalSandbox) -> None:
    sleep = Job(None, {"main.py": b"import time; time.sleep(0.1)"})
    over = threading.Event()

    def crowd() -> None:
        while not over.is_set():
            sandbox.once(sleep, Limits())

    with ThreadPoolExecutor(5) as threads:
        several = [threads.submit(crowd) for _ in range(5)]
        done = sandbox.together(3, lambda boxes: boxes[2].run(sleep, Limits()))
        over.set()
        assert done.well
        assert [item.result() for item in several] == [None] * 5
    assert len(sandbox.boxes) == 3


def test_an_interpreter_that_ends_with_boxes_and_threads_is_quiet() -> None:
    code = """
    import threading
    from r1lab.sandbox.base import Program, Test
    from r1lab.sandbox.local import LocalSandbox
    sandbox = LocalSandbox(workers=2)
    def work():
        while True:
            sandbox.run(Program("python", "import time; time.sleep(0.3)"), [Test()])
    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    print(sandbox.run(Program("python", "print(1)"), [Test("", "1")])[0].verdict)
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "passed\n", "")
    assert children() == set()


def test_without_bubblewrap_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox = LocalSandbox(workers=1)
    (outcome,) = sandbox.run(DOUBLE, [Test("4", "8")])
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "apt install bubblewrap" in outcome.detail
    with pytest.raises(SandboxError, match="sandbox=piston"):
        Box(PYTHON)
    assert groups() == []


def test_a_bubblewrap_that_is_refused_is_quoted_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    descriptors = descriptors_open()
    with pytest.raises(SandboxError, match=r"(?s)setting up uid map: Permission denied\n.*apparmor_restrict") as caught:
        Box(PYTHON)
    assert "sandbox=piston" in str(caught.value)
    assert descriptors_open() == descriptors
    assert groups() == []


@pytest.mark.parametrize("wall", ["ipc", "net"])
def test_a_box_without_one_of_its_walls_does_not_serve(wall: str) -> None:
    code = f"""
    from pathlib import Path
    from r1lab.sandbox import container
    from r1lab.sandbox.box import Box
    whole = container.command
    container.command = lambda *args: [word for word in whole(*args) if word != "--unshare-{wall}"]
    Box(Path("{PYTHON}"))
    """
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, to try it where nothing can be hurt")
    apart = ["unshare", "--net", "--ipc", "--uts", sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(apart, capture_output=True, text=True, timeout=30)
    assert f"the box shares namespaces with the machine: {wall}" in done.stderr


def test_a_python_that_is_not_there_is_named() -> None:
    (outcome,) = LocalSandbox(python="/nowhere/python3").run(DOUBLE, [Test("4", "8")])
    assert outcome.verdict is Verdict.INFRASTRUCTURE
    assert "/nowhere/python3" in outcome.detail


@pytest.mark.skipif(Path("/tmp") in Path(sys.prefix).parents, reason="what lies below /tmp cannot be shown in a box")
def test_programs_can_use_an_environments_interpreter_and_packages() -> None:
    sandbox = LocalSandbox(workers=1, python=sys.executable)
    source = "import sys, yaml\nprint(sys.version_info[:2], yaml.safe_load('[1]'))\nopen('/proc/self/exe')"
    (outcome,) = sandbox.run(Program("python", source), [Test("", f"{tuple(sys.version_info[:2])} [1]")])
    sandbox.close()
    assert outcome.passed, outcome


def test_visible_paths_are_shown_read_only() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        Path(folder, "data.txt").write_text("shown")
        sandbox = LocalSandbox(workers=1, visible=[folder])
        source = f"print(open('{folder}/data.txt').read())\nopen('{folder}/data.txt', 'w')"
        (outcome,) = sandbox.run(Program("python", source), [Test()])
        sandbox.close()
    assert outcome.output == "shown\n"
    assert "Read-only file system" in outcome.detail or "Permission denied" in outcome.detail


def test_what_a_programs_own_tmp_would_hide_cannot_be_shown() -> None:
    with pytest.raises(SandboxError, match="has its own /tmp"):
        Box(PYTHON, [Path("/tmp/some/folder")])


def test_an_owner_that_is_gone_in_the_middle_of_a_message_ends_the_box() -> None:
    box = Box(PYTHON)
    box.socket.close()
    assert box.process.wait(timeout=5) == 0
    box.close()


def test_the_first_process_does_not_hear_signals() -> None:
    box = Box(PYTHON)
    assert box.spawner
    code = (
        "import os\nfor n in (1, 2, 3, 13, 14, 15, 19, 20):\n    try: os.kill(1, n)\n    except PermissionError: pass"
    )
    assert box.run(Job(None, {"main.py": code.encode()}), Limits()).well
    assert box.run(Job(["true"]), Limits()).well
    box.close()


def started(box: Box) -> bool:
    """Whether a program runs in the box."""
    return bool(box.spawner) and any(parent_of(parent_of(pid)) == box.spawner for pid in children())


def parent_of(pid: int) -> int:
    """A process's parent; 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def kill(box: Box) -> None:
    """What an administrator, or the kernel in need of memory, may do."""
    assert box.spawner
    os.kill(box.spawner, signal.SIGKILL)


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is true.

    Raises:
        AssertionError: it did not come true.
    """
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        pause.wait(0.02)
