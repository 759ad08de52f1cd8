"""How the spawner runs main.py, as `python main.py` would. Runs inside the box; standard library only."""

import atexit
import builtins
import gc
import os
import signal
import sys
import threading
import types
from importlib import import_module
from typing import Any

COMMON = (  # what most programs import: forked along, not read again
    "bisect collections dataclasses decimal fractions functools heapq io itertools json math operator random re "
    "statistics string time typing"
)
for name in COMMON.split():
    import_module(name)


def run(folder: str, env: dict[str, str], args: list[str], answer: int) -> None:
    """Run main.py in this forked interpreter, to the end of the process; `answer` is closed before its first line."""
    os.environ.clear()
    os.environ.update(env)
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", newline="\n", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", newline="\n", closefd=False)
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", newline="\n", closefd=False)
    sys.__dict__.update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)
    module = types.ModuleType("__main__")
    module.__file__ = os.path.join(folder, "main.py")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    sys.argv = ["main.py", *args]
    sys.path.insert(0, folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open("main.py", "rb") as file:
        source = file.read()
    os.close(answer)
    code = 0
    try:
        exec(compile(source, module.__file__, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as stop:
        code = status(stop.code)
    except BaseException as error:  # what the interpreter does with what a program lets through
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        error.__traceback__ = trace
        sys.excepthook(type(error), error, trace)
        code = 1
    os._exit(finish(module, code) & 0xFF)


def status(code: Any) -> int:
    """The exit status that sys.exit(code) means; what is no number is printed."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def finish(module: types.ModuleType, code: int) -> int:
    """What the interpreter does at its end: threads, atexit, open files of the program closed, streams flushed."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        if len(sys._current_frames()) == 1:  # no daemon thread that would miss its names
            names = sorted(module.__dict__, key=lambda name: not name.startswith("_"))
            for name in names:
                if name != "__builtins__":
                    module.__dict__[name] = None
            gc.collect()
        for stream in (sys.stdout, sys.__stdout__, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except BaseException:  # a stream that the program broke
        return code or 120
    return code
