"""Runs one program on several inputs on a machine of its own; the standard library of Python 3.8 alone.

It is sent to a virtual machine as text, reads a job and prints one line: a mark, then what each input led to, as JSON.
The job holds inputs and limits, never an expected output. Where it may (as root), it runs the program as another user,
so that the program can neither kill it nor write in its name. What a program left running is killed after each test.
"""

import base64
import contextlib
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

MARK = "r1lab-harness:"
USER = 2_000_000 + 100 * os.getpid()  # nobody else's; further processes of a submission, and its judge, have the next
TICK = 0.01  # seconds between two looks at a running program
PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def unpacked(text):
    """A job from the text that carries it."""
    return json.loads(zlib.decompress(base64.b64decode(text)).decode())


def packed(value):
    """A value as text that any channel carries."""
    return base64.b64encode(zlib.compress(json.dumps(value).encode(), 6)).decode()


def owned(user):
    """The processes of a program's user, where it has one of its own."""
    if os.geteuid() != 0:
        return []
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as file:
                alive = file.read().rpartition(")")[2].split()[0] not in "ZX"
                if alive and os.stat("/proc/" + entry).st_uid == user:
                    found.append(int(entry))
    return found


def usage_of(pids):
    """Bytes of memory and seconds of processor time of processes, shared pages counted each time."""
    memory, seconds = 0, 0.0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / TICKS
            memory += int(fields[21]) * PAGE
    return memory, seconds


def kill(process, user):
    """End a program and everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(100):
        left = owned(user)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def limited(limits, user):
    """What a child does before it becomes the program."""

    def prepare():
        os.setsid()
        seconds = math.ceil(limits["seconds"])
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file_size"],) * 2)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits["open_files"],) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY,) * 2)
        if os.geteuid() == 0:
            resource.setrlimit(resource.RLIMIT_NPROC, (limits["processes"],) * 2)
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)

    return prepare


def drained(stream, most, kept, over):
    """Read a stream to its end, keeping at most `most` bytes; call `over` where there is more."""
    size = 0
    while True:
        chunk = stream.read1(1 << 16)
        if not chunk:
            return
        kept.append(chunk[: max(0, most - size)])
        size += len(chunk)
        if size > most:
            over()


def start(argv, folder, stdin, limits, user=USER, stdout=subprocess.PIPE, extra=()):
    """Start one command: a process, or why there is none. Open files that are given to it are closed here."""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": folder, "LANG": "C.UTF-8"}
    with contextlib.ExitStack() as given:
        if isinstance(stdin, str):
            file = given.enter_context(tempfile.TemporaryFile())
            file.write(stdin.encode("utf-8", "replace"))
            file.seek(0)
        else:
            file = stdin
        for fd in (stdin, stdout, *extra):
            if isinstance(fd, int) and fd >= 0:
                given.callback(os.close, fd)
        try:
            return subprocess.Popen(
                argv,
                cwd=folder,
                env=environment,
                stdin=file,
                stdout=stdout,
                stderr=subprocess.PIPE,
                preexec_fn=limited(limits, user),
                pass_fds=extra,
            )
        except OSError as error:
            return {"failure": f"cannot run {argv[0]}: {error.strerror}"}


def seconds_of(process):
    """The seconds of processor time that a program took, once it has ended."""
    done, status, used = os.wait4(process.pid, os.WNOHANG)
    if not done:
        return None
    process.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return used.ru_utime + used.ru_stime


def watch(process, limits, user=USER):
    """Wait for a program's end, or end it at a limit; how it ended and what it printed."""
    if isinstance(process, dict):
        return process
    began = time.monotonic()
    cause, peak = [], 0
    kept = [[], []]
    readers = []
    for stream, chunks in zip((process.stdout, process.stderr), kept):
        arguments = (stream, limits["output"], chunks, lambda: (cause.append("output"), kill(process, user)))
        if stream is not None:
            readers.append(threading.Thread(target=drained, args=arguments, daemon=True))
            readers[-1].start()
    seconds = seconds_of(process)
    while seconds is None:
        used, spent = usage_of(owned(user) or [process.pid])
        peak = max(peak, used)
        if used > limits["memory"]:
            cause.append("memory")
        elif spent > limits["seconds"]:
            cause.append("time")
        elif time.monotonic() - began > limits["wall_seconds"]:
            cause.append("wall time")
        if cause:
            kill(process, user)
        time.sleep(TICK)
        seconds = seconds_of(process)
    kill(process, user)
    for reader in readers:
        reader.join(5)
    if not cause and (seconds > limits["seconds"] or process.returncode == -signal.SIGXCPU):
        cause.append("time")
    stdout, stderr = (b"".join(chunks).decode("utf-8", "replace") for chunks in kept)
    return {
        "code": process.returncode,
        "cause": cause[0] if cause else "",
        "stdout": stdout,
        "stderr": stderr[-4000:],
        "seconds": round(seconds, 3),
        "memory": peak,
    }


def execute(argv, folder, stdin, limits):
    """Run one command; see `watch`."""
    return watch(start(argv, folder, stdin, limits), limits)


def communicate(job, folder, beside, stdin):
    """Run a submission's processes and the task's manager, joined by pipes: what the manager said, or who failed."""
    manager, limits = job["manager"], job["limits"]
    count = manager["processes"]
    watched, ends = [], []
    for number in range(count):
        (hear, tell), (from_user, to_manager) = os.pipe(), os.pipe()
        for fd in (hear, tell, from_user, to_manager):
            os.fchmod(fd, 0o666)  # they are opened again by name, by another user
        ends += [from_user, tell]
        names = [f"/dev/fd/{hear}", f"/dev/fd/{to_manager}"] if manager["by_name"] else []
        streams = {"extra": (hear, to_manager)} if manager["by_name"] else {"stdout": to_manager}
        argv = [*job["run"], *names, *([str(number)] if count > 1 else [])]
        process = start(argv, folder, "" if manager["by_name"] else hear, limits, USER + number, **streams)
        watched.append((process, limits, USER + number))
    argv = [*manager["run"], *(f"/dev/fd/{fd}" for fd in ends), *manager["args"]]
    room = {**limits, **manager["limits"]}
    watched.append((start(argv, beside, stdin, room, USER + count, extra=tuple(ends)), room, USER + count))
    with ThreadPoolExecutor(count + 1) as threads:
        *told, judged = threads.map(lambda item: watch(*item), watched)
    faults = [done for done in told if done.get("code") not in (0, -signal.SIGPIPE) or done["cause"]]
    heard = judged.get("code") == 0 and not judged["cause"] and (judged["stdout"].strip() or not faults)
    if heard and not any(done.get("failure") or done["cause"] for done in faults):
        return {**judged, "judged": True}
    return (faults or [judged])[0]  # a manager that falls silent with its program is not broken


def write(folder, files):
    """Write files into a folder, theirs who will run there."""
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="replace", newline="") as file:
            file.write(content)
    if os.geteuid() == 0:
        for where, _, names in os.walk(folder):
            for path in [where] + [os.path.join(where, name) for name in names]:
                os.chown(path, USER, USER)


def run(job):
    """Compile once, the task's manager too where there is one, then run every test in a fresh copy of the folder."""
    base = tempfile.mkdtemp(prefix="r1lab-")
    os.chmod(base, 0o755)
    try:
        for name, part in (("made", job), ("manager", job.get("manager"))):
            folder = os.path.join(base, name)
            os.mkdir(folder)
            write(folder, part["files"] if part else {})
            if part and part["compile"]:
                done = execute(part["compile"], folder, "", job["compile_limits"])
                if done.get("failure") or done["cause"] or done["code"] != 0:
                    said = {"failure": f"cannot compile the task's manager: {done}"} if part is not job else done
                    return {"compile": said, "tests": []}
        return {"compile": None, "tests": tests(job, base)}
    finally:
        shutil.rmtree(base, ignore_errors=True)


def tests(job, base):
    """What each test led to; with `stop`, no test runs after one that did not end well."""
    results = []
    for number, test in enumerate(job["tests"]):
        folder = os.path.join(base, f"test-{number}")
        shutil.copytree(os.path.join(base, "made"), folder)
        write(folder, test.get("files") or {})
        stdin = test.get("stdin") or ""
        if job.get("manager"):
            result = communicate(job, folder, os.path.join(base, "manager"), stdin)
        else:
            result = execute(job["run"], folder, stdin, job["limits"])
        if job.get("collect"):
            path = os.path.join(folder, job["collect"])
            result["stdout"] = ""
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, encoding="utf-8", errors="replace", newline="") as file:
                    result["stdout"] = file.read(job["limits"]["output"])
        shutil.rmtree(folder, ignore_errors=True)
        results.append(result)
        if result.get("failure") or (job.get("stop") and (result["cause"] or result["code"] != 0)):
            break
    return results


def main(text):
    """Run the job and print its one line."""
    sys.stdout.write(MARK + packed(run(unpacked(text))) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="ascii") as carried:
        main(carried.read())
