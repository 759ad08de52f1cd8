"""A stand-in for `vllm serve`: it answers after a while, has a child of its own, and can die in several ways.

Run as the program that `engine.command` names: its words are vLLM's, its behaviour is said by the environment. Every
completion is the last line of its prompt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers /health, /v1/models and /v1/chat/completions."""

    def do_GET(self) -> None:
        ready = time.monotonic() > BEGAN + float(os.environ.get("STAND_IN_READY", "0.3"))
        if self.path == "/v1/models":
            self.reply({"data": [{"id": OPTIONS["--served-model-name"], "max_model_len": 512}]})
            return
        self.send_response(200 if ready and self.path == "/health" else 503)
        self.end_headers()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"].splitlines()[-1]
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        self.reply({"choices": [choice], "usage": {"completion_tokens": len(text)}})

    def reply(self, content: object) -> None:
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    words = sys.argv[1:]
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    folder, headless = Path(os.environ["STAND_IN_FOLDER"]), "--headless" in words
    (folder / ("headless.json" if headless else "server.json")).write_text(
        json.dumps({"words": words, "pids": [os.getpid(), child.pid], "environment": dict(os.environ)})
    )
    print("loading the weights", flush=True)
    if os.environ.get("STAND_IN_DIES") == "early":
        print("out of memory on device 0", flush=True)
        os._exit(3)
    if os.environ.get("STAND_IN_DIES") == "later":
        threading.Thread(target=die_later, args=(folder,), daemon=True).start()
    if headless:
        time.sleep(600)
    ThreadingHTTPServer((OPTIONS["--host"], int(OPTIONS["--port"])), Handler).serve_forever()


def options_of(words: list[str]) -> dict[str, str]:
    """The values that follow vLLM's options."""
    return {name: value for name, value in pairwise(words) if name.startswith("--")} | dict(
        word.split("=", 1) for word in words if word.startswith("--") and "=" in word
    )


def die_later(folder: Path) -> None:
    """Die once the training has started."""
    while not (folder / "started-0").exists():
        time.sleep(0.05)
    print("an illegal memory access was encountered", flush=True)
    os.kill(os.getpid(), 11)


if __name__ == "__main__":
    BEGAN, OPTIONS = time.monotonic(), options_of(sys.argv[1:])
    main()
