"""A server that is started, watched and ended: a small program in the place of vLLM's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r1lab.config.serving import Nodes, serve_command
from r1lab.engines.base import Completion, Sampling
from r1lab.engines.server import ServerEngine
from r1lab.engines.serving import StartedServer
from r1lab.errors import EngineError
from r1lab.notebook import compose
from r1lab.processes.health import free_port

PROGRAM = """
import http.server, json, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def reply(self, content):
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
    def do_GET(self):
        self.reply({"data": [{"id": "m", "max_model_len": 99}]})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "die" in body["messages"][0]["content"]:
            print("out of memory, says the program", flush=True)
            os._exit(3)
        message = {"content": str(body.get("stop_token_ids"))}
        self.reply({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}})
    def log_message(self, *words): pass
print("pid", os.getpid(), flush=True)
if sys.argv[2:] == ["fail"]:
    print("no such model, says the program", flush=True)
    sys.exit(1)
if sys.argv[2:] == ["hang"]:
    time.sleep(60)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def server(folder: Path, *words: str, patience: float = 30.0) -> StartedServer:
    port = free_port()
    return StartedServer([sys.executable, "-c", PROGRAM, str(port), *words], port, folder / "server.log", patience)


def pid_of(folder: Path) -> int:
    """The process of the program, by its own word."""
    return int((folder / "server.log").read_text().split()[1])


def ask(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": text}] for text in texts]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_it_is_ready_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    with server(tmp_path) as started:
        assert started.gone() == "" and started.child is not None
        pid = pid_of(tmp_path)
        engine = ServerEngine([started.url], extra={"stop_token_ids": [5, 6]}, gone=started.gone)
        assert engine.served()["max_model_len"] == 99
        ((item,),) = engine.generate(ask("hello"), Sampling())
        engine.close()
        assert item == Completion("[5, 6]", 1, "stop")
    assert not alive(pid)


def test_one_that_dies_at_its_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"ended with exit code 1\n[\s\S]*no such model, says the program"):
        server(tmp_path, "fail").__enter__()


def test_one_that_is_not_ready_in_time_is_ended(tmp_path: Path) -> None:
    started = server(tmp_path, "hang", patience=1.0)
    with pytest.raises(EngineError, match=r"did not answer within 1 s[\s\S]*engine.start_timeout"):
        started.__enter__()
    assert started.child is None
    assert not alive(pid_of(tmp_path))


def test_one_that_dies_on_the_way_is_named_at_once(tmp_path: Path) -> None:
    with server(tmp_path) as started:
        engine = ServerEngine([started.url], "m", gone=started.gone, patience=600, tries=100)
        with pytest.raises(EngineError, match=r"ended with exit code 3[\s\S]*out of memory, says the program") as error:
            engine.generate(ask(*["fine"] * 20, "die", *["fine"] * 200), Sampling())
        engine.close()
    assert str(tmp_path / "server.log") in str(error.value) and "resume=FOLDER" in str(error.value)


def test_it_dies_with_whoever_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from tests.engines.test_serving import server\n"
        "started = server(Path(sys.argv[1])).__enter__()\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    root = str(Path(__file__).parents[2])
    owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), root], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    pid = pid_of(tmp_path)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    until = time.monotonic() + 20
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(pid)


def test_the_command() -> None:
    cfg = compose("task=generate", "model=deepseek-r1", "engine=server", "engine.tensor_parallel=8", "dataset.repo=a/b")
    cfg.engine.pipeline_parallel, cfg.engine.nodes, cfg.engine.command = 2, 2, sys.executable
    cfg.engine.arguments = {"max_num_seqs": 64, "enable-expert-parallel": True, "off": False, "speculative": {"n": 1}}
    command = serve_command(cfg.engine, cfg.model, "deepseek-ai/DeepSeek-R1", nodes=Nodes(2, 1, "10.0.0.1"), port=9)
    assert command[:3] == [sys.executable, "serve", "deepseek-ai/DeepSeek-R1"]
    words = " ".join(command[3:])
    for part in (
        "--served-model-name deepseek-r1",
        "--tensor-parallel-size 8",
        "--pipeline-parallel-size 2",
        "--nnodes 2 --node-rank 1 --master-addr 10.0.0.1",
        "--headless",
        "--max-num-seqs 64",
        "--enable-expert-parallel",
        '--speculative {"n": 1}',
        "--port 9",
    ):
        assert part in words
    assert "--off" not in words and "--gpu-memory-utilization" not in words
    first = serve_command(cfg.engine, cfg.model, "x", nodes=Nodes(2, 0, "10.0.0.1"), trainable=True)
    assert "--headless" not in first and '{"backend": "nccl"}' in first
