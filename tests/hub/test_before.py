"""What a run asks the Hub before it computes anything, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1lab.errors import ConfigError
from r1lab.hub.before import check_hub
from r1lab.notebook import compose
from r1lab.runs.folder import RunFolder
from tests.hub.stand_in import READER, WRITER, StandIn


@pytest.mark.parametrize(
    ("words", "token", "said"),
    [
        ((), WRITER, "ada/tiny-sft@main holds 1 file already"),
        (("hub.overwrite=true",), READER, "the token of ada may only read"),
        ((), "hf_" + "z" * 34, r"the token is not valid \(401\)"),
        (("hub.repo=nobody/tiny",), WRITER, r"the token may not do that \(403\)"),
        (("hub.repo=open",), WRITER, "ada/open is public, and hub.private is true"),
        (("hub.repo=mine", "hub.checkpoints=true"), WRITER, "ada/mine has checkpoints of another run"),
    ],
)
def test_what_cannot_be_pushed_is_refused(
    hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], token: str, said: str
) -> None:
    hub.make("ada/tiny-sft", old=b"model")
    hub.make("ada/open", private=False)
    mine = hub.make("ada/mine")
    mine.branches["main-step-000000002"] = mine.branches["main"]
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ConfigError, match=said) as caught:
        check_hub(compose("task=sft", "hub=push", *words), RunFolder(tmp_path))
    assert token not in str(caught.value)
    assert not [request for request in hub.requests if "/commit/" in request[1]]
