"""Runs `script.py` as a notebook would run it as one cell, inside a sandbox: the standard library alone.

What the script prints goes where it printed it. As the last line of stdout stands the mark that is given as an argument
and, as JSON, the text of the script's last expression, or the error that it ended with.
"""

import ast
import contextlib
import json
import sys
import traceback
from pathlib import Path


def unindented(source):
    """The source without the indentation of its first line, where all of it is indented alike."""
    lines = source.splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip(" \t"))]
    return "".join(line.removeprefix(indent) for line in lines) if indent else source


def run(source, scope):
    """Run the source; the value of its last statement where that is an expression, else None."""
    tree = ast.parse(source, "script.py")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "script.py", "exec"), scope)
    return eval(compile(ast.Expression(last.value), "script.py", "eval"), scope) if last else None


def words(thing):
    """What a thing says of itself, if it can."""
    try:
        return str(thing)
    except BaseException:  # noqa: BLE001 - the script wrote it
        return f"<no words: str() of {type(thing).__name__} fails>"


def own(error):
    """The error with the script's frames alone."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != "script.py":
        frames = frames.tb_next
    return error.with_traceback(frames)


def main():
    """Run the script and tell how it ended."""
    mark = sys.argv.pop()
    said = {"text": None, "error": None}
    try:
        value = run(
            unindented(Path("script.py").read_text(encoding="utf-8", errors="replace")), {"__name__": "__main__"}
        )
        said["text"] = None if value is None else repr(value)
    except SystemExit as stop:
        if stop.code not in (None, 0):
            code = words(stop.code)
            said["error"] = {"name": "SystemExit", "value": code, "traceback": f"SystemExit: {code}"}
    except BaseException as error:  # noqa: BLE001 - it is the script's, and told as a notebook tells it
        told = "".join(traceback.format_exception(type(error), own(error), error.__traceback__))
        with contextlib.suppress(Exception):  # the script may have closed it
            sys.stderr.write(told)
        said["error"] = {"name": type(error).__name__, "value": words(error), "traceback": told}
    for stream in (sys.stdout, sys.__stdout__):  # the script may have closed or replaced them
        with contextlib.suppress(Exception):
            stream.flush()
    with contextlib.suppress(OSError), open(1, "wb", closefd=False) as out:
        out.write(f"\n{mark}{json.dumps(said)}\n".encode())


if __name__ == "__main__":
    main()
