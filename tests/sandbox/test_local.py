"""Programs in Python behave in a box as `python main.py` does, and what the outcomes say of them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1lab.errors import ConfigError
from r1lab.sandbox.base import Limits, Outcome, Program, Test, Verdict
from r1lab.sandbox.local import LocalSandbox

ROOMY = Limits(seconds=20, wall_seconds=40, memory=1 << 30)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    made = LocalSandbox(workers=1)
    yield made
    made.close()


# name: (program, input): both ways of running it must print the same and end the same
SAME = {
    "input": ("a = input(); b = input('? ')\nprint(a, b)", "x\ny\n"),
    "end of input": ("try: input()\nexcept EOFError as e: print(e)\ninput()", ""),
    "buffer": ("import sys\nprint(sys.stdin.buffer.read())", "a\r\nb\x00ü"),
    "lines": ("import sys\nfor line in sys.stdin: print(repr(line))", "a\r\nb\n\nc"),
    "fast input": ("import os, sys\nprint(os.read(0, os.fstat(0).st_size))\nsys.stdout.flush()", "1 2 3\n"),
    "mapped input": ("import mmap\nm = mmap.mmap(0, 0, prot=mmap.PROT_READ)\nprint(m[:], len(m))", "some input\n"),
    "dev stdin": ("print(open('/dev/stdin').read(), open(0).read())", "one\ntwo\n"),
    "fileno": ("import sys\nprint(sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno())", ""),
    "encodings": (
        "import sys\nprint('ü€', sys.stdout.encoding, sys.getdefaultencoding())",
        "",
    ),
    "exit number": ("import sys\nprint(1)\nsys.exit(7)", ""),
    "exit none": ("import sys\nsys.exit()", ""),
    "exit text": ("import sys\nsys.exit('no way')", ""),
    "exit other": ("raise SystemExit([1, 2])", ""),
    "exit large": ("raise SystemExit(256 + 3)", ""),
    "exit function": ("exit(4)", ""),
    "exit in a thread": (
        "import threading, sys\nt = threading.Thread(target=sys.exit, args=(3,))\nt.start(); t.join()",
        "",
    ),
    "immediate exit": ("import os\nprint('lost')\nos._exit(5)", ""),
    "immediate exit flushed": ("import os\nprint('kept', flush=True)\nos._exit(5)", ""),
    "abort": ("import os\nos.abort()", ""),
    "exception": ("def f(n):\n    return 1 / n\n\ntry:\n    f(0)\nexcept OSError:\n    pass\n", ""),
    "exception in exception": ("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('x') from e\n", ""),
    "exception group": ("raise ExceptionGroup('g', [ValueError(1)])", ""),
    "no exception": ("raise ImportError", ""),
    "syntax error": ("x = (1,\nprint(", ""),
    "indentation error": ("if 1:\nx", ""),
    "warning": ("import warnings\nwarnings.warn('careful')", ""),
    "deep recursion caught": ("def f(n): return f(n + 1)\ntry: f(0)\nexcept RecursionError: print('deep')", ""),
    "recursion limit": (
        "import sys\ndef f(n): return n and 1 + f(n - 1)\nsys.setrecursionlimit(10**6)\nprint(f(10**5))",
        "",
    ),
    "recursion in a thread": (
        "import sys, threading\nthreading.stack_size(512 << 20)\nsys.setrecursionlimit(10**6)\n"
        "def f(n): return n and 1 + f(n - 1)\n"
        "t = threading.Thread(target=lambda: print(f(10**5)))\nt.start(); t.join()",
        "",
    ),
    "large numbers": ("import sys\nsys.set_int_max_str_digits(0)\nprint(len(str(7**20000)))", ""),
    "too large numbers": ("try: print(str(10**5000))\nexcept ValueError as e: print(e)", ""),
    "names": ("print(__name__, __file__, __doc__, __builtins__.__name__, __spec__, __package__)", ""),
    "doc": ("'''said'''\nprint(__doc__)", ""),
    "globals": ("x = 1\ndef f(): global y; y = x\nf()\nprint(y, sorted(k for k in globals() if k[0] != '_'))", ""),
    "future": ("from __future__ import annotations\ndef f(x: Nothing): return x\nprint(f.__annotations__)", ""),
    "no future by default": ("def f(x: int): pass\nprint(f.__annotations__)", ""),
    "main module": ("import __main__\nx = 3\nprint(__main__.x, __main__.__file__)", ""),
    "pickle": (
        "import pickle\nfrom dataclasses import dataclass\n@dataclass(order=True)\nclass A:\n    x: int\n"
        "print(pickle.loads(pickle.dumps(A(1))), A(1) < A(2))",
        "",
    ),
    "typing": (
        "from typing import *\nclass P(NamedTuple):\n    x: 'List[int]'\nprint(get_type_hints(P), P([1]))",
        "",
    ),
    "source of itself": ("import inspect\ndef f(): return 1\nprint(inspect.getsource(f))", ""),
    "at exit": ("import atexit\natexit.register(print, 'end')\natexit.register(print, 'first')\nprint('body')", ""),
    "at exit after an error": ("import atexit\natexit.register(print, 'end')\n1 / 0", ""),
    "at exit fails": ("import atexit\natexit.register(lambda: 1 / 0)\nprint(1)", ""),
    "threads finish": (
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()\nprint('main')",
        "",
    ),
    "daemon threads do not": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('main')",
        "",
    ),
    "thread pool": (
        "from concurrent.futures import ThreadPoolExecutor\ne = ThreadPoolExecutor(4)\n"
        "e.submit(print, 'late')\nprint(sum(e.map(abs, range(-9, 0))))",
        "",
    ),
    "processes": (
        "import multiprocessing as m\ndef f(x): return x * x\nif __name__ == '__main__':\n"
        "    with m.Pool(2) as p: print(p.map(f, range(9)))",
        "",
    ),
    "spawned processes": (
        "import multiprocessing as m\ndef f(q, x): q.put(x * x)\nif __name__ == '__main__':\n"
        "    c = m.get_context('spawn'); q = c.Queue(); p = c.Process(target=f, args=(q, 3))\n"
        "    p.start(); print(q.get()); p.join()",
        "",
    ),
    "fork": ("import os, sys\npid = os.fork()\nprint('both')\nif pid: os.wait()", ""),
    "subprocess": ("import subprocess\nprint(subprocess.run(['cat'], input=b'x', capture_output=True).stdout)", ""),
    "same interpreter": ("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(1)'], check=True)", ""),
    "system": ("import os\nprint(os.system('exit 3') >> 8, os.popen('echo hi').read())", ""),
    "asyncio": ("import asyncio\nasync def f(): await asyncio.sleep(0.01); return 5\nprint(asyncio.run(f()))", ""),
    "unflushed file": ("f = open('out.txt', 'w')\nf.write('x' * 10)\nimport atexit\natexit.register(print, 'bye')", ""),
    "own stdout": (
        "import io, os, sys\nsys.stdout = io.TextIOWrapper(open(1, 'wb', closefd=False))\nprint('kept')",
        "",
    ),
    "other stdout": ("import os\nout = os.fdopen(1, 'w')\nout.write('kept')", ""),
    "stdout by name": ("out = open('/dev/stdout', 'w')\nout.write('kept')", ""),
    "stdout in a function": (
        "import os\ndef f():\n    w = os.fdopen(os.dup(1), 'w').write\n    return w\nw = f()\nw('kept')",
        "",
    ),
    "stdout in a cycle": (
        "import os\nclass A: pass\na = A(); a.a = a; a.f = os.fdopen(1, 'w'); a.f.write('kept'); del a",
        "",
    ),
    "destructor": ("class A:\n    def __del__(self): print('gone')\na = A()\nprint('end')", ""),
    "closed stdout": ("import sys\nprint('kept')\nsys.stdout.close()", ""),
    "no stdout": ("import sys\nprint('lost?')\nsys.stdout = None\nprint('nowhere')", ""),
    "fast output": ("import sys\nprint = sys.stdout.write\nprint('a\\n')\nprint('b')", ""),
    "output by number": ("import os\nos.write(1, b'a\\n')\nprint('b')", ""),
    "errors between": (
        "import sys\nprint('a', file=sys.stderr)\nprint('b', end='', file=sys.stderr)\nraise SystemExit(1)",
        "",
    ),
    "hook": ("import sys\nsys.excepthook = lambda *a: print('hooked', a[0])\n1 / 0", ""),
    "interrupt": (
        "import os, signal, time\ntry: os.kill(os.getpid(), signal.SIGINT); time.sleep(3)\n"
        "except KeyboardInterrupt: print('int')",
        "",
    ),
    "alarm": (
        "import signal, time\nsignal.signal(14, lambda *a: print('alarm'))\nsignal.setitimer(0, 0.02)\ntime.sleep(.1)",
        "",
    ),
    "temporary": ("import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'1'); print(f.tell())", ""),
    "random": ("import random\nrandom.seed(3)\nprint(random.random())", ""),
    "decimal": ("from decimal import *\ngetcontext().prec = 50\nprint(Decimal(1) / 7)", ""),
    "generator closed": ("def g():\n    try: yield 1\n    finally: print('closed')\nx = g(); next(x)", ""),
    "walrus and match": ("match (n := 3):\n    case 3: print(n)", ""),
    "module dict": ("import sys\nprint(sys.modules['__main__'].__dict__ is globals(), sys.argv)", ""),
    "assertion": ("assert 1 == 2, 'why'", ""),
    "input types": (
        "n, k = map(int, input().split())\nprint(n * k)\nprint(*sorted(map(int, input().split())))",
        "2 3\n3 1 2",
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_behaves_as_the_bare_interpreter(sandbox: LocalSandbox, name: str, tmp_path: Path) -> None:
    source, given = SAME[name]
    (tmp_path / "main.py").write_text(source)
    (tmp_path / "input").write_bytes(given.encode())
    with (tmp_path / "input").open("rb") as stdin, (tmp_path / "output").open("w+b") as stdout:
        bare = subprocess.run(
            ["/usr/bin/env", "--default-signal=INT", "/usr/bin/python3", "main.py"],  # a shell's `&` has it ignored
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )
        stdout.seek(0)
        printed = stdout.read().decode().replace(str(tmp_path), "/tmp/box")
    done = sandbox.execute("python", {"main.py": source.encode()}, (), given.encode(), ROOMY).run
    assert done is not None
    assert done.failure == ""
    assert done.stdout.decode() == printed
    code = done.code if done.code is not None else -6
    assert code == bare.returncode
    said = done.stderr.decode()
    assert "spawner" not in said
    addresses = re.compile("0x[0-9a-f]+")
    expected = bare.stderr.decode().replace(str(tmp_path), "/tmp/box")
    assert addresses.sub("", said) == addresses.sub("", expected)


def test_arguments_and_files_beside(sandbox: LocalSandbox) -> None:
    source = "import sys, helper, pack.inner\nprint(sys.argv, helper.x, pack.inner.y, open('data.txt').read())"
    files = {"helper.py": "x = 5", "pack/__init__.py": "", "pack/inner.py": "y = 6", "data.txt": "7"}
    (outcome,) = sandbox.run(Program("python", source, files, ["a", "b c"]), [Test()])
    assert outcome.output == "['main.py', 'a', 'b c'] 5 6 7\n"
    assert outcome.detail == ""


def test_starts_in_an_empty_world(sandbox: LocalSandbox) -> None:
    source = (
        "import os, sys\nprint(os.getcwd(), os.listdir('.'), os.listdir('/dev/shm'), sorted(os.environ), "
        "os.environ['HOME'], sys.argv, [name for name in os.listdir('/proc') if name.isdigit()])"
    )
    (outcome,) = sandbox.run(Program("python", source), [Test()])
    names = ["HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "USER"]
    assert outcome.output == f"/tmp/box ['main.py'] [] {names} /tmp ['main.py'] ['1', '2']\n"


def test_chance_differs_from_program_to_program(sandbox: LocalSandbox) -> None:
    program = Program("python", "import random\nprint(random.random())")
    assert len({item.output for item in sandbox.run(program, [Test()] * 5)}) == 5


def test_knows_itself(sandbox: LocalSandbox) -> None:
    source = (
        "import os, pwd, socket\nprint(pwd.getpwuid(os.getuid()).pw_name, os.environ['USER'], socket.gethostname())"
    )
    (outcome,) = sandbox.run(Program("python", source), [Test("", "sandbox sandbox sandbox")])
    assert outcome.passed, outcome


def test_verdicts_scores_and_words(sandbox: LocalSandbox) -> None:
    source = "n = int(input())\nprint('  ', n + 1, ' ')\nif n == 3: raise KeyError('three')"
    tests = [Test("1", "2\n\n"), Test("2", "4"), Test("3", "4"), Test("9")]
    right, wrong, crashed, free = sandbox.run(Program("python", source), tests)
    assert (right.verdict, right.score, right.passed) == (Verdict.PASSED, 1.0, True)
    assert (wrong.verdict, wrong.score, wrong.output.strip()) == (Verdict.WRONG, 0.0, "3")
    assert (crashed.verdict, crashed.score) == (Verdict.CRASHED, 0.0)
    assert crashed.detail.startswith("exit status 1\nTraceback (most recent call last):\n")
    assert 'File "/tmp/box/main.py", line 3, in <module>' in crashed.detail
    assert crashed.detail.endswith("KeyError: 'three'")
    assert free.passed


def test_stops_at_the_first_failure_if_asked(sandbox: LocalSandbox) -> None:
    tests = [Test("1", "1"), Test("2", "3"), Test("3", "3")]
    program = Program("python", "print(input())")
    assert [item.verdict for item in sandbox.run(program, tests)] == ["passed", "wrong", "passed"]
    stopped = sandbox.run(program, tests, stop_at_failure=True)
    assert [item.verdict for item in stopped] == ["passed", "wrong", "skipped"]
    assert stopped[2] == Outcome(Verdict.SKIPPED)


def test_no_tests_no_outcomes(sandbox: LocalSandbox) -> None:
    assert sandbox.run(Program("python", "print(1)"), []) == []


def test_input_of_50_megabytes(sandbox: LocalSandbox) -> None:
    given = "1234567 \n" * ((50 << 20) // 9)
    source = "import sys\ndata = sys.stdin.buffer.read()\nprint(len(data), data.count(b'7'))"
    (outcome,) = sandbox.run(Program("python", source), [Test(given, f"{len(given)} {given.count('7')}")], ROOMY)
    assert outcome.passed, outcome.detail


@pytest.mark.parametrize(("size", "verdict"), [(1 << 20, "passed"), ((1 << 20) + 1, "crashed")])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_at_the_limit_and_beyond(sandbox: LocalSandbox, size: int, verdict: str, stream: str) -> None:
    source = f"import sys\nsys.{stream}.write('x' * {size})"
    (outcome,) = sandbox.run(Program("python", source), [Test()], Limits(output=1 << 20))
    assert outcome.verdict == verdict
    assert len(outcome.output) == (1 << 20 if stream == "stdout" else 0)
    assert outcome.passed or outcome.detail.startswith("limit on output")


def test_output_that_is_no_text(sandbox: LocalSandbox) -> None:
    (outcome,) = sandbox.run(Program("python", "import os\nos.write(1, b'a\\xff\\x00b')"), [Test("", "a\ufffd\0b")])
    assert outcome.passed


def test_seconds_and_memory_are_told(sandbox: LocalSandbox) -> None:
    source = "import time\nx = bytearray(100 << 20)\nwhile time.process_time() < 0.3: pass"
    (outcome,) = sandbox.run(Program("python", source), [Test()])
    assert 0.3 <= outcome.seconds < 0.6
    assert 100 << 20 <= outcome.memory < 160 << 20


def test_other_names_of_python_and_unknown_languages(sandbox: LocalSandbox) -> None:
    assert all(
        sandbox.run(Program(name, "print(1)"), [Test("", "1")])[0].passed for name in ("py", "Python3 ", "PYTHON")
    )
    with pytest.raises(ConfigError, match=r"'pyhton'(?s:.*)python"):
        sandbox.run(Program("pyhton", ""), [Test()])


def test_limits_of_the_config_hold_where_none_are_given() -> None:
    sandbox = LocalSandbox(workers=1, limits={"seconds": 0.2, "wall_seconds": 5.0})
    (outcome,) = sandbox.run(Program("python", "while True: pass"), [Test()])
    (longer,) = sandbox.run(Program("python", "import time\nwhile time.process_time() < 0.4: pass"), [Test()], Limits())
    sandbox.close()
    assert outcome.verdict is Verdict.TIMEOUT
    assert longer.passed


def test_python_of_the_box_is_the_systems(sandbox: LocalSandbox) -> None:
    (outcome,) = sandbox.run(
        Program("python", "import sys\nprint(sys.prefix, sys.flags.optimize, __debug__)"), [Test()]
    )
    assert outcome.output == "/usr 0 True\n"
    assert sys.prefix != "/usr"
