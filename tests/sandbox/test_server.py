"""The sandbox server over real HTTP with the real sandbox behind it: Piston's requests, the routers', bounds."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest

from r1lab.providers.piston import PistonSandbox
from r1lab.sandbox.base import Program, Test
from r1lab.sandbox.local import LocalSandbox
from r1lab.sandbox_server.server import SandboxServer
from r1lab.sandbox_server.versions import satisfies
from tests.sandbox.served import Client, execute, serving

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


def test_runtimes_and_packages(client: Client) -> None:
    runtimes = {item["language"]: item for item in client.get("/api/v2/runtimes").json() if "runtime" not in item}
    assert runtimes["python"]["aliases"] == ["python3", "py", "py3"]
    assert runtimes["python"]["version"].startswith("3.")
    contests = {item["language"]: item for item in client.get("/api/v2/runtimes").json() if "runtime" in item}
    assert contests["cms"] == {"language": "cms", "version": "1.0.0", "aliases": ["cms_ioi"], "runtime": "cms_ioi"}
    assert contests["c++17"]["runtime"] == "codeforces"
    packages = {item["language"]: item["installed"] for item in client.get("/api/v2/packages").json()}
    assert packages["cms_ioi"] is packages["codeforces"] is packages["python"] is True


def test_packages_come_and_go(client: Client) -> None:
    asked = {"language": "bash", "version": "*"}
    for _ in range(2):
        assert client.post("/api/v2/packages", json=asked).json()["language"] == "bash"
    gone = client.request("DELETE", "/api/v2/packages", json=asked)
    assert (gone.status_code, gone.json()["language"]) == (200, "bash")
    assert client.request("DELETE", "/api/v2/packages", json=asked).status_code == 500
    assert execute(client, "echo 1", "bash").json() == {"message": "bash-* runtime is unknown"}
    assert client.post("/api/v2/packages", json=asked).status_code == 200
    assert execute(client, "echo 1", "bash").json()["run"]["stdout"] == "1\n"
    lacking = client.post("/api/v2/packages", json={"language": "cobol", "version": "1"})
    assert (lacking.status_code, lacking.json()) == (404, {"message": "Requested package cobol-1 does not exist"})


def test_a_plain_job(client: Client) -> None:
    source = "import sys, data\nprint(input(), sys.argv[1:], data.x, open('b.bin', 'rb').read())"
    source += "\nprint('e', file=sys.stderr)"
    files = [
        {"name": "b.bin", "content": base64.b64encode(b"\0\xff").decode(), "encoding": "base64"},
        {"name": "main.py", "content": source},
        {"name": "data.py", "content": b"x = 'hex'".hex(), "encoding": "hex"},
    ]
    answer = execute(client, stdin="ü\n", args=["1", "-x y", 3], files=files)
    told = answer.json()
    assert answer.status_code == 200
    assert told["run"]["stdout"] == "ü ['1', '-x y', '3'] hex b'\\x00\\xff'\n"
    assert (told["run"]["stderr"], told["run"]["code"], told["run"]["signal"]) == ("e\n", 0, None)
    assert told["run"]["output"] == told["run"]["stdout"] + "e\n"
    assert (told["run"]["status"], told["run"]["message"]) == (None, None)
    assert 0 <= told["run"]["cpu_time"] < 5000
    assert (told["language"], "compile" in told) == ("python", False)


def test_a_compiled_job(client: Client) -> None:
    told = execute(
        client,
        "#include <iostream>\nint main() { int n; std::cin >> n; std::cout << n + 1; return 7; }",
        "cpp",
        stdin="4",
    ).json()
    assert (told["compile"]["code"], told["run"]["stdout"], told["run"]["code"]) == (0, "5", 7)
    assert (told["run"]["status"], told["run"]["message"]) == ("RE", "Exited with error status 7")
    told = execute(client, "int main( {", "c++").json()
    assert told["compile"]["code"] == 1
    assert "error" in told["compile"]["stderr"]
    assert told["run"] == told["compile"]


@pytest.mark.parametrize(
    ("source", "more", "code", "signal", "status"),
    [
        ("while True: pass", {"run_timeout": 300}, None, "SIGKILL", "TO"),
        ("import time; time.sleep(60)", {"run_timeout": 300}, None, "SIGKILL", "TO"),
        ("while True: pass", {"run_cpu_time": 200}, None, "SIGKILL", "TO"),
        ("x = bytearray(1 << 30)", {"run_memory_limit": 64 << 20}, None, "SIGKILL", "SG"),
        ("import os; os.abort()", {}, None, "SIGABRT", "SG"),
        ("raise SystemExit(3)", {"run_timeout": 0, "run_memory_limit": -1}, 3, None, "RE"),
    ],
)
def test_how_programs_end(
    client: Client, source: str, more: dict[str, Any], code: Any, signal: Any, status: str
) -> None:
    run = execute(client, source, **more).json()["run"]
    assert (run["code"], run["signal"], run["status"]) == (code, signal, status)
    if "run_timeout" in more:
        assert run["wall_time"] < 2000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"language": None}, "language is required as a string"),
        ({"language": 7}, "language is required as a string"),
        ({"version": ""}, "version is required as a string"),
        ({"files": "x"}, "files is required as an array"),
        ({"files": [{"content": "a"}, {"name": "b"}]}, "files[1].content is required as a string"),
        ({"files": [3]}, "files[0].content is required as a string"),
        ({"files": []}, "files must include at least one utf8 encoded file"),
        ({"files": [{"content": "", "encoding": "hex"}]}, "files must include at least one utf8 encoded file"),
        (
            {"files": [{"content": "", "name": "../x"}]},
            "files[0]: the file name '../x' leads out of the working folder",
        ),
        (
            {"files": [{"content": "", "name": "/etc/x"}]},
            "files[0]: the file name '/etc/x' leads out of the working folder",
        ),
        ({"files": [{"content": ""}, {"content": "zz", "encoding": "hex"}]}, "files[1]: the content is not hex"),
        ({"version": "1" * 5000}, "python-1111"),
        ({"version": "1" * 1_000_000}, "python-1111"),
        ({"language": "cobol"}, "cobol-* runtime is unknown"),
        ({"version": "2.x"}, "python-2.x runtime is unknown"),
        ({"run_timeout": "1"}, "If specified, run_timeout must be a number"),
        ({"run_timeout": True}, "If specified, run_timeout must be a number"),
        ({"run_timeout": 60_001}, "run_timeout cannot exceed the configured limit of 60000"),
        ({"compile_cpu_time": 1e9}, "compile_cpu_time cannot exceed the configured limit of 60000"),
        ({"run_memory_limit": -2}, "run_memory_limit must be non-negative"),
        ({"run_memory_limit": 1}, "run_memory_limit must be at least 16777216"),
        ({"files": [{"content": "1", "name": "a"}, {"content": "", "name": "a/b"}]}, "files: 'a' is a file, and a"),
        ({"files": [{"content": "1", "name": "a"}, {"content": "", "name": "./a"}]}, "files[1]: the file name 'a' is"),
        ({"files": [{"content": "1", "name": "m\ud800"}]}, "files[0]: the file name 'm\\ud800' is no text"),
        ({"files": [{"content": "1", "name": "a/" * 64 + "b"}]}, "files[0]: the file name 'a/a/"),
        ({"files": [{"content": ""}] * 20_001}, "files holds 20001 files; 20000 may be"),
        (
            {"files": [{"content": "1", "name": "x"}, {"content": "2", "name": "main.py"}]},
            "files: 'main.py' is the program's own name; the program here is 'x'",
        ),
        (
            {"files": [{"content": "1", "name": "x"}, {"content": "2", "name": "main.py/y"}]},
            "files: 'main.py' is a file, and a folder in 'main.py/y'",
        ),
        ({"language": "cms_ioi", "files": [{"name": "input.txt", "content": ""}]}, "cms_ioi needs the submission"),
        ({"language": "cf_c++", "files": [{"name": "input.txt", "content": ""}]}, "cf_c++ needs the submission"),
        ({"stdin": 3}, "stdin must be a string"),
        ({"args": "x"}, "args must be an array of strings"),
        ({"args": ["a\0b"]}, "args must not hold the character NUL"),
        ({"language": "cms_ioi"}, "cms_ioi needs the file input.txt"),
        ({"language": "cf_python3"}, "cf_python3 needs the file input.txt"),
    ],
)
def test_jobs_that_are_none(client: Client, change: dict[str, Any], message: str) -> None:
    body = {"language": "python", "version": "*", "files": [{"content": "print(1)"}], **change}
    answer = client.post(
        "/api/v2/execute", content=json.dumps(body), headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"].startswith(message)


def test_requests_that_are_none(client: Client) -> None:
    assert client.post("/api/v2/execute", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    said = client.post("/api/v2/execute", content=b"x").json()
    assert said == {"message": "requests must be of type application/json"}
    headers = {"Content-Type": "application/json"}
    for content in (b"", b"{", b"[" * 100_000, b"\xff", b"[]", b"null"):
        answer = client.post("/api/v2/execute", content=content, headers=headers)
        assert answer.status_code == 400, content
        assert answer.json()["message"].startswith("the request ")
    assert client.get("/nowhere").status_code == 404
    assert client.get("/nowhere").json() == {"message": "Not Found"}
    assert client.get("/api/v2/execute").status_code == 405


@pytest.mark.parametrize("selector", ["*", "3.x", "^3.0.0", "~3", ">=3 <4", "2 || 3", "3.0.0 - 3.99.0", "x"])
def test_version_selectors(client: Client, selector: str) -> None:
    answer = execute(client, "print(1)", version=selector)
    assert answer.json()["run"]["stdout"] == "1\n"


@pytest.mark.parametrize(
    ("version", "selector", "fits"),
    [
        ("3.11.2", "3.11.2", True), ("3.11.2", "=3.11", True), ("3.11.2", "3.12", False), ("3.11.2", "^3.11.3", False),
        ("3.11.2", "~3.11.1", True), ("3.12.0", "~3.11.1", False), ("0.2.3", "^0.2", True), ("0.3.0", "^0.2.1", False),
        ("0.0.3", "^0.0.3", True), ("0.0.4", "^0.0.3", False), ("3.11.2", ">3.11", False), ("3.12.0", ">3.11", True),
        ("3.11.9", "<=3.11", True), ("3.12.0", "<=3.11", False), ("3.12.0", "<3.12", False), ("3.12.0", ">= 3", True),
        ("4.0.0", "2.0.0 - 3", False), ("3.9.0", "2 - 3", True), ("1.2.3", "v1.2.3", True), ("1.2.3", "latest", False),
("1.2.3", "1" * 99, False), ("1.2.3", "^1." + "9" * 5000, False),
        ("1.2.3", "", True), ("1.2.3", "1.*.9", True), ("2.0.0", "1.x || >=2.0.0", True),
    ],
)  # fmt: skip
def test_what_a_selector_means(version: str, selector: str, fits: bool) -> None:
    assert satisfies(version, selector) is fits


def test_a_full_queue_is_told(local: LocalSandbox) -> None:
    server = SandboxServer(local, parallel=1, queue=2)
    with serving(server) as url, httpx.Client(base_url=url, timeout=30) as client:
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: execute(client, "import time; time.sleep(0.3)"), range(8)))
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [200] * 3 + [429] * 5
        full = next(answer for answer in answers if answer.status_code == 429)
        assert full.headers["Retry-After"] == "1"
        assert full.json()["message"].startswith("3 jobs run or wait")
        answer = client.post("/execute_batch", json={"scripts": ["1"] * 4})
        assert answer.status_code == 413  # as often as it may be sent
        assert answer.json()["message"] == "4 scripts in one batch: there is never room for more than 3"
        with ThreadPoolExecutor(1) as threads:
            held = threads.submit(execute, client, "import time; time.sleep(1)")
            while not client.get("/health").json()["jobs"]:
                time.sleep(0.02)
            assert client.post("/execute_batch", json={"scripts": ["1"] * 3}).status_code == 429
            assert held.result().status_code == 200
        assert execute(client, "print(1)").status_code == 200
        assert client.get("/health").json() == {"status": "ok", "jobs": 0, "parallel": 1, "queue": 2}


def half_sent(url: str, length: int = 999, body: bytes = b"{") -> socket.socket:
    """A connection with a request whose body stops early."""
    address = httpx.URL(url)
    assert address.port
    made = socket.create_connection((address.host, address.port), timeout=20)
    head = f"POST /api/v2/execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}"
    made.sendall(head.encode() + b"\r\n\r\n" + body)
    return made


def test_requests_sent_by_half_hold_no_place(local: LocalSandbox) -> None:
    server = SandboxServer(local, parallel=1, queue=2, silence=3.0)
    with serving(server) as url, httpx.Client(base_url=url, timeout=30) as client, ExitStack() as stack:
        slow = [stack.enter_context(half_sent(url)) for _ in range(60)]
        time.sleep(0.3)
        assert client.get("/health").json()["jobs"] == 0
        assert execute(client, "print(1)").status_code == 200
        for one in slow:
            said = one.recv(4096)
            assert said.startswith(b"HTTP/1.1 408 ")
            assert b"connection: close" in said.lower()
        stack.enter_context(half_sent(url)).shutdown(socket.SHUT_WR)  # and one that is gone at once
        assert execute(client, "print(1)").status_code == 200


def test_a_body_in_drops_does_not_last_for_ever(local: LocalSandbox) -> None:
    with serving(SandboxServer(local, silence=5.0, reading=0.5)) as url, half_sent(url) as dropping:
        dropping.settimeout(0.1)
        said = b""
        while not said:
            dropping.sendall(b" ")
            with suppress(TimeoutError):
                said = dropping.recv(4096)
        assert said.startswith(b"HTTP/1.1 408 ")


def test_bodies_that_cannot_be_read(client: Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = client.post("/api/v2/execute", content=b"no gzip", headers=headers)
    assert answer.status_code == 400


def test_arguments_with_half_a_surrogate_pair(client: Client) -> None:
    body = {"language": "python", "version": "*", "files": [{"content": "import sys; print(sys.argv[1:])"}]}
    content = json.dumps({**body, "args": ["a\ud800"]})
    answer = client.post("/api/v2/execute", content=content, headers={"Content-Type": "application/json"})
    assert answer.json()["run"]["stdout"] == "['a?']\n"


def test_a_client_that_has_gone_costs_nothing(local: LocalSandbox) -> None:
    with serving(SandboxServer(local, parallel=1)) as url, httpx.Client(base_url=url, timeout=30) as client:

        def leave(_: int) -> None:
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(
                    f"{url}/api/v2/execute",
                    json={"language": "python", "version": "*", "files": [{"content": "import time; time.sleep(2.5)"}]},
                    timeout=0.2,
                )

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(leave, range(6)))
        began = time.monotonic()
        assert execute(client, "print(1)").json()["run"]["stdout"] == "1\n"
        assert time.monotonic() - began < 10  # 15 s if each ran to its end


def test_a_token(local: LocalSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(SandboxServer(local, token="s3cret")) as url, httpx.Client(base_url=url) as client:
        assert client.get("/health").status_code == 200
        for headers in (
            {},
            {"Authorization": "s3cret"},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer \xfc"},
        ):
            answer = client.get(
                "/api/v2/runtimes", headers={key: value.encode("latin-1") for key, value in headers.items()}
            )
            assert answer.status_code == 401
            assert "s3cret" not in answer.text
        assert client.get("/api/v2/runtimes", headers={"Authorization": "Bearer s3cret"}).status_code == 200
        monkeypatch.setenv("PISTON_TOKEN", "s3cret")
        remote = PistonSandbox(endpoints=[url])
        assert remote.run(Program("python", "print(1)"), [Test("", "1")])[0].passed
        remote.close()


def test_a_large_request(local: LocalSandbox) -> None:
    with serving(SandboxServer(local, max_body=3 << 20)) as url, httpx.Client(base_url=url, timeout=30) as client:
        text = "x" * (2 << 20)
        assert (
            execute(client, "import sys; print(len(sys.stdin.read()))", stdin=text).json()["run"]["stdout"]
            == f"{2 << 20}\n"
        )
        answer = execute(client, stdin=text * 2)
        assert (answer.status_code, answer.json()) == (413, {"message": f"the request is larger than {3 << 20} bytes"})


def test_ugly_texts_come_back(client: Client) -> None:
    body = {
        "language": "python",
        "version": "*",
        "files": [{"content": "print(ascii(input()))"}],
        "stdin": "\ud800 \U0001f600",
    }
    answer = client.post(
        "/api/v2/execute", content=json.dumps(body), headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert answer.json()["run"]["stdout"] == "'? \\U0001f600'\n"
    told = execute(client, "import sys; sys.stdout.buffer.write(b'\\xff\\0ok')").json()
    assert told["run"]["stdout"] == "�\0ok"
