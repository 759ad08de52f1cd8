"""A stand-in for `vllm serve`: it answers /health after a while, has a child of its own, and can die in several ways.

Run as the program that `engine.command` names: its words are vLLM's, its behaviour is said by the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers /health."""

    def do_GET(self) -> None:
        ready = time.monotonic() > BEGAN + float(os.environ.get("STAND_IN_READY", "0.3"))
        self.send_response(200 if ready and self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    words = sys.argv[1:]
    options = dict(zip(words[2::2], words[3::2], strict=False)) | dict(
        word.split("=", 1) for word in words if "=" in word
    )
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    folder = Path(os.environ["STAND_IN_FOLDER"])
    (folder / "server.json").write_text(
        json.dumps({"words": words, "pids": [os.getpid(), child.pid], "environment": dict(os.environ)})
    )
    print("loading the weights", flush=True)
    if os.environ.get("STAND_IN_DIES") == "early":
        print("out of memory on device 0", flush=True)
        os._exit(3)
    if os.environ.get("STAND_IN_DIES") == "later":
        threading.Thread(target=die_later, args=(folder,), daemon=True).start()
    HTTPServer((options["--host"], int(options["--port"])), Handler).serve_forever()


def die_later(folder: Path) -> None:
    """Die once the training has started."""
    while not (folder / "started-0").exists():
        time.sleep(0.05)
    print("an illegal memory access was encountered", flush=True)
    os.kill(os.getpid(), 11)


if __name__ == "__main__":
    BEGAN = time.monotonic()
    main()
