"""A model that the Hub does not give: gated, absent, without that revision, out of reach; and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

REPLIES = {"gated": (403, "GatedRepo"), "absent": (404, "RepoNotFound"), "revised": (404, "RevisionNotFound")}
ASK = """
import json, sys
from omegaconf import OmegaConf
from r1lab.errors import UserError
from r1lab.models.tokens import load_tokenizer
for repo in sys.argv[1:]:
    cfg = OmegaConf.create({"path": None, "repo": repo, "name": "lab", "revision": "v9", "build": None})
    try:
        load_tokenizer(cfg)
    except UserError as error:
        print(json.dumps(str(error)))
"""


class Hub(BaseHTTPRequestHandler):
    """Refuses as the Hub does: a status and the header X-Error-Code."""

    def do_HEAD(self) -> None:
        status, code = REPLIES[self.path.split("/")[2]]
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def told(*repos: str, **environment: str) -> list[str]:
    """What loading a tokenizer says of each, in a process of its own: the client reads its endpoint on import."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, *repos],
        env={**os.environ, "HF_TOKEN": "hf_reader", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_hub_refuses_a_model(endpoint: str) -> None:
    page = "https://huggingface.co/lab"
    assert told("lab/gated", "lab/absent", "lab/revised", HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="0") == [
        "model lab/gated cannot be loaded: it is gated, and your login may not read it\n"
        f"    fix      ask for access at {page}/gated, then log in: hf auth login, or HF_TOKEN in the environment",
        "model lab/absent cannot be loaded: the Hub has no such model that you may read\n"
        f"    fix      is it at {page}/absent? A private one needs hf auth login; or model.path=FOLDER",
        "model lab/revised cannot be loaded: it has no such revision\n"
        f"    fix      model.revision=NAME, one of those at {page}/revised/tree/main",
    ]


def test_nothing_is_fetched_offline() -> None:
    (found,) = told("lab/absent", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set, so nothing is fetched from the Hub, and this machine has no copy of it" in found
    assert "where there is a network: hf download lab/absent; or model.path=FOLDER" in found
