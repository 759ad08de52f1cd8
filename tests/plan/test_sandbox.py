"""What a sandbox lacks is said before the run: keys, packages, endpoints, bubblewrap; and only if one is used."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import CommandLine

CODE = ("reward=[code]", "objective=eval/code", "dataset=local", "dataset.path=rows.jsonl")
ROW = '{"problem": "p", "answer": "1", "verification_info": {"language": "python", "test_cases": []}}\n'
Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """A machine with bubblewrap and no key, no endpoint and no Slurm."""
    for name in (
        "E2B_API_KEY",
        "MORPH_API_KEY",
        "PISTON_ENDPOINTS",
        "PISTON_MAX_REQUESTS_PER_ENDPOINT",
        "PISTON_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}" if name == "bwrap" else None)
    write("rows.jsonl", ROW)


def test_a_run_without_programs_needs_no_sandbox(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    for sandbox in ("local", "piston", "e2b", "morph"):
        r1lab.accepts(f"sandbox={sandbox}")


def test_bubblewrap_is_missing(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    r1lab.accepts(*CODE)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    found = r1lab.one(*CODE)
    assert found["what"] == "sandbox=local needs bubblewrap: bwrap is not on PATH"
    assert "apt install bubblewrap, or dnf install bubblewrap" in found["fix"]
    plan = r1lab.plan(*CODE, "dry_run=true")  # perhaps for another machine
    assert plan.errors == []
    assert [item.severity for item in plan.findings if "bwrap" in item.what] == ["warning"]


@pytest.mark.parametrize(
    ("name", "key", "module"),
    [("e2b", "E2B_API_KEY", "e2b_code_interpreter"), ("morph", "MORPH_API_KEY", "morphcloud")],
)
def test_a_provider_needs_its_package_and_its_key(
    r1lab: CommandLine, name: str, key: str, module: str, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    words = (*CODE, f"sandbox={name}")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *_: None if asked == module else find(asked))
    package, missing = r1lab.all(*words)
    assert package["fix"] == 'pip install "r1lab[code]"'
    assert missing["what"] == f"sandbox={name} needs {key}, which neither the environment nor a .env file gives"
    assert missing["where"] == f"override sandbox={name}"
    r1lab.accepts(*words, "sandbox.router_url=localhost:8000")
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *_: find("json") if asked == module else find(asked))
    assert r1lab.one(*words)["what"].startswith(f"sandbox={name} needs {key}")
    write(".env", f"{key}=s3cret\n")
    cfg = r1lab.accepts(*words)
    assert "s3cret" not in str(cfg)
    write(".env", f"{key}=\n")
    assert key in r1lab.one(*words)["what"]
    monkeypatch.setenv(key, "other")
    r1lab.accepts(*words)
    write(".env", "")
    Path(".env").write_bytes(b"\xff\xfe=1")
    monkeypatch.delenv(key)
    assert r1lab.one(*words)["what"] == ".env cannot be read: not UTF-8 text"


def test_piston_needs_an_endpoint(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (*CODE, "sandbox=piston")
    found = r1lab.one(*words)
    assert found["what"] == "sandbox=piston has no endpoint"
    assert "PISTON_ENDPOINTS=http://HOST:PORT" in found["fix"]
    r1lab.accepts(*words, "sandbox.endpoints=[http://a:2000,b:2000]")
    monkeypatch.setenv("PISTON_ENDPOINTS", "http://a:2000, b:1/api/v2")
    r1lab.accepts(*words)
    monkeypatch.setenv("PISTON_ENDPOINTS", "ftp://a")
    found = r1lab.one(*words)
    assert found["what"] == "'ftp://a' is no address of a server"
    assert found["where"] == "PISTON_ENDPOINTS in the environment or .env"
    monkeypatch.setenv("PISTON_ENDPOINTS", "slurm")
    assert "squeue is not on PATH" in r1lab.one(*words)["what"]
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/squeue")
    r1lab.accepts(*words)
    monkeypatch.setenv("PISTON_MAX_REQUESTS_PER_ENDPOINT", "many")
    assert r1lab.one(*words)["what"] == "PISTON_MAX_REQUESTS_PER_ENDPOINT=many is not a whole number above 0"
    r1lab.accepts(*words, "sandbox.max_requests_per_endpoint=2")
    assert "=0 is not a whole number" in r1lab.one(*words, "sandbox.max_requests_per_endpoint=0")["what"]


@pytest.mark.parametrize("address", ["http://me:s3cret@a:2000", "http://a:2000/?token=s3cret"])
def test_an_address_holds_no_secret(r1lab: CommandLine, address: str) -> None:
    found = r1lab.one(*CODE, "sandbox=piston", f"sandbox.endpoints=['{address}']")
    assert found["what"] == "the address of a holds a secret, which would be written into run.yaml"
    assert "PISTON_TOKEN" in found["fix"]


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("sandbox.limits.seconds=0", "sandbox.limits.seconds=0 is not a number above 0"),
        ("sandbox.limits.memory=-1", "sandbox.limits.memory=-1 is not a number above 0"),
        ("sandbox.limits.secnds=1", "sandbox.limits.secnds is not a field of sandbox.limits"),
        ("sandbox.router_url='http://'", "'http://' is no address of a server"),
        ("sandbox.router_url=host:99999", "'host:99999' is no address of a server"),
    ],
)
def test_limits_and_addresses(r1lab: CommandLine, word: str, what: str) -> None:
    sandbox = "e2b" if "router" in word else "local"
    assert r1lab.one(*CODE, f"sandbox={sandbox}", word)["what"] == what


def test_a_file_of_ones_own(r1lab: CommandLine, write: Write) -> None:
    text = "_target_: r1lab.providers.piston.PistonSandbox\nendpiont: [a:1]\nlimits:\n  memroy: 1\n  processes: 1.5\n"
    write("mine/sandbox/ours.yaml", text)
    found = r1lab.all("--config-dir", "mine", *CODE, "sandbox=ours")
    assert [(item["what"], item.get("where"), item.get("nearest")) for item in found] == [
        ("sandbox has no endpiont", "mine/sandbox/ours.yaml:2", "sandbox.endpoints"),
        ("sandbox.limits has no memroy", "mine/sandbox/ours.yaml:4", "sandbox.limits.memory"),
        ("sandbox.limits.processes=1.5 is not a whole number", "mine/sandbox/ours.yaml:5", "1"),
        ("sandbox=piston has no endpoint", "override sandbox=ours", None),
    ]


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("sandbox.tree=foo", "sandbox.tree=foo is not known"),
        ("sandbox.workers=-1", "sandbox.workers=-1 is not a whole number above 0"),
        ("sandbox.python=/nowhere/python", "sandbox.python=/nowhere/python is no program that can be run"),
        ("sandbox.visible=[/nowhere]", "sandbox.visible: /nowhere is not there"),
        ("sandbox.visible=[/tmp]", "sandbox.visible: /tmp lies in /tmp, which is each program's own"),
        ("sandbox.limits.memory=1", "sandbox.limits.memory=1 bytes: no interpreter starts with so little"),
        ("reward.code.num_parallel=0", "reward.code.num_parallel"),
        ("reward.code.sandbox=piston", "reward.code.sandbox=piston: the sandbox is chosen for the whole run"),
    ],
)
def test_what_cannot_work_here_is_said_before(r1lab, word, what):
    words = ["reward=[code]", "dataset=hub", "dataset.repo=some/where", "dataset.columns=[problem,verification_info]"]
    row = r1lab.one(*words, "dataset.answer=null", word)
    assert what in row["what"]
