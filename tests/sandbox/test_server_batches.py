"""The sandbox server as a router: batches of scripts, read as clients of Open-R1's routers read them."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from r1lab.providers.e2b import E2BSandbox
from r1lab.sandbox.base import Limits, Program, Test, Verdict
from tests.sandbox.served import Client

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


def batch(client: Client, scripts: list[str], **more: Any) -> Any:
    return client.post("/execute_batch", json={"scripts": scripts, "timeout": 5, "request_timeout": 5, **more}).json()


def test_a_batch_reads_like_a_notebook(client: Client) -> None:
    indented = "\n    import json\n\n    def half(x):\n        return x / 2\n"
    indented += "\n    print('seen')\n    half(json.loads('3'))\n    "
    value, plain, error, syntax, exits, none = batch(
        client, [indented, "print('a\\nb')", "print('x')\n{}['k']", "print('", "import sys; sys.exit(3)", "x = 1"]
    )
    assert (value["text"], value["exception_str"]) == ("1.5", None)
    assert value["execution"] == {
        "results": [{"text": "1.5", "is_main_result": True}],
        "logs": {"stdout": ["seen\n"], "stderr": []},
        "error": None,
        "execution_count": 1,
    }
    assert (plain["text"], plain["execution"]["results"]) == ("a\nb\n", [])
    assert (error["text"], error["exception_str"]) == (None, "KeyError: 'k'")
    assert error["execution"]["logs"]["stdout"] == ["x\n"]
    assert "KeyError" in error["execution"]["error"]["traceback"]
    assert syntax["execution"]["error"]["name"] == "SyntaxError"
    for told in (error, syntax):
        shown = told["execution"]["error"]["traceback"]
        assert [shown] == told["execution"]["logs"]["stderr"]
        assert "cell.py" not in shown
        assert "ast.py" not in shown
        assert 'File "script.py", line' in shown
    assert exits["execution"]["error"]["value"] == "3"
    assert (none["text"], none["execution"]["logs"]["stdout"]) == ("", [])


def test_scripts_that_do_not_end_well(client: Client) -> None:
    late, killed, quiet = batch(
        client, ["while True: pass", "import os; os.kill(os.getpid(), 9)", "import os; os._exit(0)"], timeout=1
    )
    assert (late["execution"], late["text"]) == (None, None)
    assert late["exception_str"] == "the script was stopped after 1 s"
    assert killed["execution"]["error"]["value"] == "SIGKILL"
    assert (quiet["text"], quiet["exception_str"]) == ("", None)
    other, unknown = batch(client, ["echo hello", "?"], languages=["bash", "cobol"])
    assert other["text"] == "hello\n"
    assert "no sandbox runs 'cobol'" in unknown["exception_str"]
    assert batch(client, []) == []


def test_scripts_that_close_or_replace_what_they_print_to(client: Client) -> None:
    closed, replaced, both = batch(
        client,
        [
            "import sys; print('seen'); sys.stdout.close(); 1 / 0",
            "import io, sys; print('seen'); sys.stdout = io.StringIO(); print('lost'); 7",
            "import sys; sys.stdout.close(); sys.stderr.close(); 7",
        ],
    )
    assert closed["exception_str"] == "ZeroDivisionError: division by zero"
    assert closed["execution"]["logs"]["stdout"] == ["seen\n"]
    assert (replaced["text"], replaced["execution"]["logs"]["stdout"]) == ("7", ["seen\n"])
    assert both["text"] == "7"
    assert "cell.py" not in str([closed, replaced, both])


def test_errors_without_words(client: Client) -> None:
    silent = "class E(Exception):\n    def __str__(self):\n        raise ValueError\n"
    error, exits, deep = batch(
        client,
        [
            silent + "raise E()",
            silent + "raise SystemExit(E())",
            "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n"
            "        raise KeyError(2) from e\nf()",
        ],
    )
    assert error["execution"]["error"]["name"] == "E"
    assert "str() of E fails" in error["exception_str"]
    assert "str() of E fails" in exits["exception_str"]
    shown = deep["execution"]["error"]["traceback"]
    assert "ZeroDivisionError" in shown
    assert "in f" in shown
    assert "cell.py" not in error["execution"]["error"]["traceback"] + exits["exception_str"] + shown


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "scripts is required"),
        ({"scripts": "x"}, "scripts is required"),
        ({"scripts": [1]}, "scripts is required"),
        ({"scripts": ["1"], "languages": ["python", "r"]}, "languages must name one for each script: 2 for 1"),
        ({"scripts": ["1"], "languages": "python"}, "languages must be an array"),
        ({"scripts": ["1"], "timeout": -1}, "timeout must be a number of seconds above 0"),
        ({"scripts": ["1"], "timeout": "5"}, "timeout must be a number of seconds above 0"),
    ],
)
def test_batches_that_are_none(client: Client, body: dict[str, Any], message: str) -> None:
    answer = client.post("/execute_batch", json=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)


def test_the_readers_of_open_r1s_routers(client: Client) -> None:
    """What its E2B client does with a reply: E2B's own classes take it."""
    models = pytest.importorskip("e2b_code_interpreter.models")
    (told,) = batch(client, ["print('seen')\n0.25"])
    execution = models.Execution(
        results=[models.Result(**item) for item in told["execution"]["results"]],
        logs=told["execution"]["logs"],
        error=None,
        execution_count=told["execution"]["execution_count"],
    )
    assert float(execution.text) == 0.25
    assert SimpleNamespace(text=told.get("text"), exception_str=told.get("exception_str")).text == "0.25"


def test_the_server_is_a_router_for_r1labs_sandboxes(url: str) -> None:
    routed = E2BSandbox(router_url=url.removeprefix("http://"))
    tests = [Test("2", "4"), Test("3", "7"), Test("x", "")]
    outcomes = routed.run(Program("python", "print(int(input()) * 2)"), tests, Limits(seconds=1, wall_seconds=2))
    routed.close()
    assert [item.verdict for item in outcomes] == [Verdict.PASSED, Verdict.WRONG, Verdict.CRASHED]
