"""task=doctor: what it finds, what it says of it, and that it never shows a key."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from r1lab import hardware
from r1lab.config.source import locate
from r1lab.doctor import machine, versions
from r1lab.doctor.check import MISSING, OK, WARNING
from tests.command_line import CommandLine, r1lab

__all__ = ["r1lab"]
STATES = {OK, WARNING, MISSING}


def checks_of(text: str) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(text)["checks"]}


@pytest.fixture(autouse=True)
def no_logins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "WANDB_API_KEY",
        "E2B_API_KEY",
        "MORPH_API_KEY",
        "PISTON_ENDPOINTS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_a_machine_that_has_all(r1lab: CommandLine) -> None:
    said = r1lab("task=doctor", "task.json=true", "sandbox=piston")
    checks = checks_of(said.out)
    assert (said.code, said.err, said.started) == (0, "", {})
    assert {check["state"] for check in checks.values()} <= {OK, WARNING}
    assert checks["torch"]["found"].startswith("2.")
    assert checks["GPUs"]["found"] == "0 visible"
    assert checks["memory"]["found"] == "65536.0 GiB"
    assert not Path("outputs").exists()
    table = r1lab("task=doctor").out
    assert "what to do" in table and "bubblewrap" in table


def test_what_a_config_needs_and_lacks(r1lab: CommandLine) -> None:
    words = ("task=doctor", "accelerator=zero3", "reward=[code]", "sandbox=e2b", "task.json=true")
    said = r1lab(*words)
    checks = checks_of(said.out)
    assert said.code == 2
    missing = [name for name, check in checks.items() if check["state"] == MISSING]
    lacking = [] if locate("deepspeed") else ["deepspeed"]
    assert missing == [*lacking, "GPUs", "login: e2b"]
    assert said.err.strip() == f"r1lab: missing of what this config needs: {', '.join(missing)}"
    assert checks["GPUs"]["found"] == "0 visible, 8 asked for"
    assert checks["login: e2b"]["todo"] == "E2B_API_KEY in the environment or in .env"
    assert json.loads(said.out)["missing"] == len(missing)


def test_keys_are_seen_and_never_shown(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = "s3cret-s3cret"
    for name in ("HF_TOKEN", "E2B_API_KEY"):
        monkeypatch.setenv(name, secret)
    (tmp_path / ".env").write_text(f"MORPH_API_KEY={secret}\n")
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {secret}\n")
    (tmp_path / "netrc").chmod(0o600)
    for words in (["task.json=true"], []):
        said = r1lab("task=doctor", *words)
        assert secret not in said.out + said.err
    checks = checks_of(r1lab("task=doctor", "task.json=true").out)
    assert [checks[f"login: {name}"]["state"] for name in ("hub", "e2b", "morph", "wandb")] == [OK] * 4


def test_a_login_file(r1lab: CommandLine, tmp_path: Path) -> None:
    assert checks_of(r1lab("task=doctor", "task.json=true").out)["login: hub"]["state"] == WARNING
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_not_a_real_one")
    assert checks_of(r1lab("task=doctor", "task.json=true").out)["login: hub"]["state"] == OK


def test_a_small_machine(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "usable_memory_gb", lambda: 4.0)
    usage = shutil._ntuple_diskusage(2**33, 0, 2**33)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    said = r1lab("task=doctor", "model=qwen2.5-math-7b", "task.json=true")
    checks = checks_of(said.out)
    assert said.code == 2
    assert checks["memory"]["found"].startswith("4.0 GiB; the run needs ")
    assert checks["disk for the Hub's cache"]["found"] == "8.0 GiB free, 14.2 GiB needed"


def test_bubblewrap_that_does_not_start(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "bwrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:/usr/bin:/bin")
    said = r1lab("task=doctor", "reward=[code]", "task.json=true")
    check = checks_of(said.out)["bubblewrap"]
    assert check["state"] == MISSING
    assert check["found"] == "bwrap: setting up uid map: Permission denied"
    assert check["todo"].startswith("allow user namespaces")
    assert checks_of(r1lab("task=doctor", "task.json=true").out)["bubblewrap"]["state"] == WARNING
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checks_of(r1lab("task=doctor", "task.json=true").out)["bubblewrap"]["found"] == "not found"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap here")
def test_bubblewrap_as_it_is(r1lab: CommandLine) -> None:
    starts = subprocess.run(machine.TRY, capture_output=True).returncode == 0
    check = checks_of(r1lab("task=doctor", "task.json=true").out)["bubblewrap"]
    assert (check["state"] == OK) == starts


def test_versions_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"trl": "1.16.0", "vllm": "0.40.0", "transformers": "5.17.0"}
    (check,) = [item for item in versions._unmet("trl", present) if "vllm" in item.name]
    assert check.state == WARNING
    assert check.found.startswith("vllm 0.40.0; trl 1.16.0 wants ") and "<=0.31.0" in check.found
    assert versions._unmet("trl", {**present, "vllm": "0.31.0+cpu"}) == []


@pytest.mark.parametrize(
    ("built", "driver", "state"),
    [("12.8", "12.4", OK), ("13.0", "12.8", MISSING), ("12.8", None, MISSING), (None, "12.8", MISSING)],
)
def test_torch_and_the_driver(
    built: str | None, driver: str | None, state: str, r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "gpus", lambda: 1)
    monkeypatch.setattr(versions, "torch_cuda", lambda: built)
    monkeypatch.setattr(versions, "driver_cuda", lambda: driver)
    checks = versions.check_gpu(r1lab.plan("accelerator=single").cfg)
    assert checks[0].state == OK
    assert checks[-1].state == state


def test_torchs_build_is_read_from_its_text() -> None:
    import torch

    assert versions.torch_cuda() == torch.version.cuda


def test_it_is_quick_and_light() -> None:
    code = (
        "import sys; sys.argv = ['r1lab', 'task=doctor']\nimport r1lab.main\n"
        "try:\n    r1lab.main.main()\n"
        "finally:\n    print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    began = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert time.monotonic() - began < 10  # two seconds on a machine of its own
    assert not {"torch", "transformers", "trl", "datasets", "accelerate"} & set(result.stderr.splitlines()[-1].split())


def test_what_an_experiment_needs(r1lab: CommandLine) -> None:
    said = r1lab("task=doctor", "experiment=olympiccoder-7b", "hub=push", "adapter=qlora", "task.json=true")
    checks = checks_of(said.out)
    assert said.code == 2  # liger is not there
    assert checks["deepspeed"]["state"] == (OK if locate("deepspeed") else MISSING)
    assert checks["liger_kernel"]["state"] == MISSING
    assert checks["liger_kernel"]["todo"] == 'pip install "r1lab[liger]"'
    assert checks["bitsandbytes"]["todo"] == 'pip install "r1lab[bitsandbytes]"'
    assert checks["login: hub"]["state"] == MISSING
    assert r1lab("task=doctor", "trainer.use_liger_kernel=true").code == 2
    assert "has no meaning" in r1lab.refused("task=eval", "experiment=olympiccoder-7b")


def test_lighteval_is_missing_only_where_it_evaluates(
    r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("r1lab.config.evaluating.SOURCE", tmp_path / "source")
    check = checks_of(r1lab("task=doctor", "task.json=true").out)["lighteval"]
    assert (check["state"], check["found"]) == (OK, "not here, and not asked for")
    check = checks_of(r1lab("task=doctor", "task.json=true", "evaluator=lighteval").out)["lighteval"]
    assert (check["state"], check["found"]) == (MISSING, "there is no .venv-eval/bin/python")
    assert check["todo"] == "make install-eval"
