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

MARK = "r1lab-harness:"
USER = 2_000_000 + os.getpid()  # nobody else's
TICK = 0.01  # seconds between two looks at a running program
PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def unpacked(text):
    """A job from the text that carries it."""
    return json.loads(zlib.decompress(base64.b64decode(text)).decode())


def packed(value):
    """A value as text that any channel carries."""
    return base64.b64encode(zlib.compress(json.dumps(value).encode(), 6)).decode()


def owned():
    """The processes of the program's user, where it has one of its own."""
    if os.geteuid() != 0:
        return []
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as file:
                alive = file.read().rpartition(")")[2].split()[0] not in "ZX"
                if alive and os.stat("/proc/" + entry).st_uid == USER:
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


def kill(process):
    """End a program and everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(100):
        left = owned()
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def limited(limits):
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
            os.setgid(USER)
            os.setuid(USER)

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


def execute(argv, folder, stdin, limits):
    """Run one command; how it ended and what it printed."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": folder, "LANG": "C.UTF-8"}
    with tempfile.TemporaryFile() as given:
        given.write(stdin.encode("utf-8", "replace"))
        given.seek(0)
        try:
            process = subprocess.Popen(
                argv,
                cwd=folder,
                env=environment,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                preexec_fn=limited(limits),
            )
        except OSError as error:
            return {"failure": f"cannot run {argv[0]}: {error.strerror}"}
    cause, peak = [], 0
    kept = [[], []]
    readers = []
    for stream, chunks in zip((process.stdout, process.stderr), kept):
        arguments = (stream, limits["output"], chunks, lambda: (cause.append("output"), kill(process)))
        readers.append(threading.Thread(target=drained, args=arguments, daemon=True))
        readers[-1].start()
    while process.poll() is None:
        used, spent = usage_of(owned() or [process.pid])
        peak = max(peak, used)
        if used > limits["memory"]:
            cause.append("memory")
        elif spent > limits["seconds"]:
            cause.append("time")
        elif time.monotonic() - began > limits["wall_seconds"]:
            cause.append("wall time")
        if cause:
            kill(process)
            break
        time.sleep(TICK)
    process.wait()
    kill(process)
    for reader in readers:
        reader.join(5)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
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
    """Compile once, then run every test in a fresh copy of the folder."""
    base = tempfile.mkdtemp(prefix="r1lab-")
    os.chmod(base, 0o755)
    made = os.path.join(base, "made")
    os.mkdir(made)
    try:
        write(made, job["files"])
        if job["compile"]:
            compiled = execute(job["compile"], made, "", job["compile_limits"])
            if compiled.get("failure") or compiled["cause"] or compiled["code"] != 0:
                return {"compile": compiled, "tests": []}
        return {"compile": None, "tests": tests(job, base, made)}
    finally:
        shutil.rmtree(base, ignore_errors=True)


def tests(job, base, made):
    """What each test led to; with `stop`, no test runs after one that did not end well."""
    results = []
    for number, test in enumerate(job["tests"]):
        folder = os.path.join(base, f"test-{number}")
        shutil.copytree(made, folder)
        write(folder, test.get("files") or {})
        result = execute(job["run"], folder, test.get("stdin") or "", job["limits"])
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
