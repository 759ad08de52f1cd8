"""What leaves the machine: secrets never, folders of the machine not where it is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1lab.config.secrecy import HIDDEN, text_without_paths, without_paths, without_secrets


def test_secrets_by_name_form_url_and_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOMEBODYS_PASSWORD", "correct horse battery")
    (tmp_path / ".env").write_text("LAB_TOKEN=from-the-env-file\n")
    hub = "hf_" + "A1" * 17
    before = {
        "api_key": "k",
        "hub_token": "t",
        "eos_token": "<|im_end|>",
        "max_tokens": 512,
        "token": None,
        "nested": [{"text": f"say {hub} twice: {hub}"}, "correct horse battery staple", "from-the-env-file"],
        "uri": "postgres://ada:pass@host/db",
        "plain": "http://host:5000/path",
    }
    assert without_secrets(before) == {
        "api_key": HIDDEN,
        "hub_token": HIDDEN,
        "eos_token": "<|im_end|>",
        "max_tokens": 512,
        "token": None,
        "nested": [{"text": f"say {HIDDEN} twice: {HIDDEN}"}, f"{HIDDEN} staple", HIDDEN],
        "uri": f"postgres://{HIDDEN}@host/db",
        "plain": "http://host:5000/path",
    }


def test_paths_keep_their_last_part() -> None:
    before = {
        "path": "/data/of/ada/rows.csv",
        "home": "~/models/base",
        "relative": "outputs/a",
        "template": "</think>\n/x",
    }
    after = {"path": "rows.csv", "home": "base", "relative": "outputs/a", "template": "</think>\n/x"}
    assert without_paths(before) == after


def test_text_loses_the_machines_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"from {tmp_path}/outputs/model and {Path.home()}/x, not {tmp_path}fs"
    assert text_without_paths(text) == f"from outputs/model and x, not {tmp_path}fs"
