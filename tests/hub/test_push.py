"""Pushing one folder: what arrives, what is refused, and what a fault at any point leaves behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import huggingface_hub
import pytest

from r1lab.errors import ConfigError, HubError
from r1lab.hub import client, push_folder
from tests.hub.stand_in import READER, STRANGER, WRITER, StandIn

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own, of httpx
WEIGHTS = os.urandom(200_000)
MODEL = {
    "config.json": b'{"model_type": "qwen2"}',
    "generation_config.json": b'{"eos_token_id": 3}',
    "model-00001-of-00002.safetensors": WEIGHTS,
    "model-00002-of-00002.safetensors": b"second" * 1000,
    "model.safetensors.index.json": b'{"weight_map": {}}',
    "tokenizer.json": b'{"version": "1.0"}',
    "tokenizer_config.json": b'{"eos_token": "<|im_end|>"}',
    "chat_template.jinja": b"{{ messages }}",
    "README.md": b"---\nlicense: apache-2.0\n---\n# A model\n",
}
NEVER = {
    "optimizer.pt": b"moments",
    "scheduler.pt": b"schedule",
    "rng_state.pth": b"dice",
    "r1lab_0.pt": b"between steps",
    "training_args.bin": b"output_dir=/home/ada",
    "trainer_state.json": b"{}",
    "COMPLETE": b"",
    "global_step5/mp_rank_00_model_states.pt": b"deepspeed",
    ".env": b"HF_TOKEN=secret",
}
STAGES = [
    ("GET", "/api/whoami-v2"),
    ("POST", "/api/repos/create"),
    ("GET", "/api/models/ada/tiny$"),
    ("GET", "/tree/"),
    ("POST", "/preupload/"),
    ("POST", "/objects/batch"),
    ("PUT", "/lfs/"),
    ("POST", "/commit/"),
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder, with what a checkpoint holds besides."""
    folder = tmp_path / "model"
    for name, content in {**MODEL, **NEVER}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_model_arrives_whole_and_nothing_else_does(hub: StandIn, model: Path) -> None:
    done = push_folder(model, "tiny", extra={"run.yaml": b"seed: 1\n"}, message="a model")
    repo = hub.repo("ada/tiny")
    assert repo.files() == {**MODEL, "run.yaml": b"seed: 1\n"}
    assert repo.private
    assert (done.repo, done.revision, done.url) == ("ada/tiny", "main", f"{hub.url}/ada/tiny")
    assert done.commit == repo.branches["main"][-1].id and len(repo.branches["main"]) == 2
    assert repo.branches["main"][-1].title == "a model"
    assert list(done.files) == sorted([*MODEL, "run.yaml"])


def test_public_and_an_organisations_by_choice(hub: StandIn, model: Path) -> None:
    push_folder(model, "lab/tiny", private=False)
    assert not hub.repo("lab/tiny").private


def test_a_dataset_follows_the_same_rules(hub: StandIn, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    (rows / "data").mkdir(parents=True)
    (rows / "data/train.parquet").write_bytes(b"PAR1" * 100)
    (rows / "README.md").write_bytes(b"rows of /home/somebody")
    (rows / ".cache").mkdir()
    (rows / ".cache/left").write_bytes(b"x")
    done = push_folder(rows, "rows", kind="dataset")
    assert hub.repo("ada/rows", "dataset").files() == {
        "data/train.parquet": b"PAR1" * 100,
        "README.md": b"rows of /home/somebody",
    }
    assert done.url == f"{hub.url}/datasets/ada/rows"
    with pytest.raises(ConfigError, match="ada/rows@main holds 2 files already"):
        push_folder(rows, "rows", kind="dataset")


def test_what_is_there_is_not_overwritten(hub: StandIn, model: Path) -> None:
    repo = hub.make("ada/tiny", weights=b"of somebody's", more=b"old")
    with pytest.raises(ConfigError, match=r"ada/tiny@main holds 2 files already\n(.*\n)*.*hub.overwrite=true"):
        push_folder(model, "tiny")
    assert repo.files() == {"weights": b"of somebody's", "more": b"old"}
    push_folder(model, "tiny", overwrite=True)
    assert repo.files() == MODEL


def test_a_new_revision_holds_this_folder_alone(hub: StandIn, model: Path) -> None:
    repo = hub.make("ada/tiny", old=b"model")
    push_folder(model, "tiny", revision="v2")
    assert repo.files("v2") == MODEL
    assert repo.files("main") == {"old": b"model"}


def test_a_public_repository_is_refused_while_private_is_asked_for(hub: StandIn, model: Path) -> None:
    repo = hub.make("ada/tiny", private=False)
    with pytest.raises(ConfigError, match="ada/tiny is public"):
        push_folder(model, "tiny")
    assert repo.files() == {}
    push_folder(model, "tiny", private=False)
    assert repo.files() == MODEL


@pytest.mark.parametrize("fault", [429, 500, 503, "disconnect"])
@pytest.mark.parametrize(("method", "path"), STAGES)
def test_a_fault_that_passes_costs_a_pause(
    hub: StandIn, model: Path, pauses: list[float], method: str, path: str, fault: int | str
) -> None:
    hub.fail(method, path, fault)
    push_folder(model, "tiny", retries=2)
    assert hub.repo("ada/tiny").files() == MODEL
    assert len(hub.repo("ada/tiny").branches["main"]) == 2
    assert pauses and all(0.5 <= pause <= 60 for pause in pauses)


def test_an_upload_cut_in_the_middle(hub: StandIn, model: Path, pauses: list[float]) -> None:
    hub.fail("PUT", "/lfs/", "half", times=3)
    push_folder(model, "tiny")
    assert hub.repo("ada/tiny").files() == MODEL


def test_the_server_says_how_long_to_wait(hub: StandIn, model: Path, pauses: list[float]) -> None:
    hub.fail("POST", "/commit/", 429, Retry_After="17")
    push_folder(model, "tiny")
    assert pauses == [17.0]


def test_pauses_grow_and_end(hub: StandIn, model: Path, pauses: list[float]) -> None:
    hub.fail("POST", "/commit/", 503, times=100)
    with pytest.raises(HubError, match=r"pushing model to ada/tiny@main: .*503.*; tried 7 times"):
        push_folder(model, "tiny", retries=6)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert hub.repo("ada/tiny").files() == {}


def test_a_commit_whose_answer_was_lost_is_recognised(hub: StandIn, model: Path, pauses: list[float]) -> None:
    hub.fail("POST", "/commit/", "lost")
    done = push_folder(model, "tiny", mark="r1lab push 7")
    commits = hub.repo("ada/tiny").branches["main"]
    assert len(commits) == 2 and done.commit == commits[-1].id
    assert hub.asked("POST", "/commit/") == 1


def test_a_repeated_push_uploads_only_what_is_missing(hub: StandIn, model: Path, pauses: list[float]) -> None:
    hub.fail("POST", "/commit/", 503, times=100)
    with pytest.raises(HubError):
        push_folder(model, "tiny", retries=0)
    assert hub.asked("PUT", "/lfs/") == 2
    hub.faults.clear()
    (model / "model-00003.safetensors").write_bytes(b"a third")
    push_folder(model, "tiny")
    assert hub.asked("PUT", "/lfs/") == 3
    assert hub.repo("ada/tiny").files() == {**MODEL, "model-00003.safetensors": b"a third"}


@pytest.mark.parametrize(
    ("token", "repo", "said"),
    [
        (STRANGER, "tiny", r"the token is not valid \(401\)"),
        (READER, "tiny", r"the token may not do that \(403\)"),
        (WRITER, "elsewhere/tiny", r"the token may not do that \(403\)"),
    ],
)
def test_refusals_are_said_once_and_name_no_token(
    hub: StandIn, model: Path, pauses: list[float], token: str, repo: str, said: str
) -> None:
    with pytest.raises(HubError, match=said) as caught:
        push_folder(model, repo, token=token)
    assert pauses == []
    assert token not in str(caught.value)


def test_a_hub_that_hangs_is_given_up(
    hub: StandIn, model: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("r1lab.hub.push.connect", lambda token: client.connect(token, answer=0.3))
    hub.fail("GET", "/api/whoami-v2", "hang", times=100)
    with pytest.raises(HubError, match="timed out"):
        push_folder(model, "tiny", retries=1)
    assert hub.asked("GET", "/api/whoami-v2") == 2


def test_offline_asks_nobody(hub: StandIn, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        push_folder(model, "tiny")
    assert hub.requests == []


def test_no_token(hub: StandIn, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match="needs a Hugging Face token"):
        push_folder(model, "tiny")
    assert hub.requests == []


@pytest.mark.parametrize("content", [None, {}, NEVER])
def test_a_folder_without_a_model(hub: StandIn, tmp_path: Path, content: dict[str, bytes] | None) -> None:
    folder = tmp_path / "empty"
    for name, text in (content or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    with pytest.raises(ConfigError, match="holds nothing of a model"):
        push_folder(folder, "tiny")
    assert hub.requests == []


def test_texts_lose_folders_and_secrets_and_weights_stay_as_they_are(hub: StandIn, model: Path) -> None:
    base = str(model.parent / "outputs/base")
    (model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "r": 16}))
    (model / "README.md").write_text(f"Trained in {model.parent}/run with {WRITER}.\nSee {Path.home()}/notes.\n")
    push_folder(model, "tiny")
    files = hub.repo("ada/tiny").files()
    assert json.loads(files["adapter_config.json"]) == {"base_model_name_or_path": "outputs/base", "r": 16}
    assert files["README.md"] == b"Trained in run with [removed].\nSee notes.\n"
    assert files["model-00001-of-00002.safetensors"] == WEIGHTS


def test_the_client_is_the_librarys_own(hub: StandIn) -> None:
    assert client.connect().endpoint == hub.url
    assert isinstance(client.connect(), huggingface_hub.HfApi)
