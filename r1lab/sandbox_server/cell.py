"""Runs `script.py` as a notebook would run it as one cell, inside a sandbox: the standard library alone.

What the script prints goes where it printed it. As the last line of stdout stands the mark that is given as an argument
and, as JSON, the text of the script's last expression, or the error that it ended with.
"""

import ast
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
            said["error"] = {"name": "SystemExit", "value": str(stop.code), "traceback": f"SystemExit: {stop.code}"}
    except BaseException as error:  # noqa: BLE001 - it is the script's, and told as a notebook tells it
        traceback.print_exc()
        said["error"] = {"name": type(error).__name__, "value": str(error), "traceback": traceback.format_exc()}
    sys.stdout.write(f"\n{mark}{json.dumps(said)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
