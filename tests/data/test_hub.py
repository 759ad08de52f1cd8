"""Datasets of the Hub: folders laid out like repositories stand in for them, since the tests have no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset
from datasets.exceptions import DatasetNotFoundError

from r1lab.data import hub
from r1lab.errors import DataError

CARD = """---
configs:
- config_name: main
  data_files:
  - {split: train, path: main/train-*}
  - {split: test, path: main/test-*}
- config_name: other
  data_files:
  - {split: train, path: other/train-*}
---
"""


@pytest.fixture
def repo(tmp_path: Path) -> str:
    """Ten rows and two held out, one of which stands among the ten; and another config."""
    folder = tmp_path / "org-name"
    for name, prompts in {"main/train": "abcdefghij", "main/test": "jk", "other/train": "z"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        rows = Dataset.from_list([{"problem": text, "answer": "1"} for text in prompts])
        rows.to_parquet(folder / f"{name}-00000.parquet")
    (folder / "README.md").write_text(CARD)
    return str(folder)


def test_its_own_held_out_rows_are_used_and_kept_apart(repo: str) -> None:
    splits = hub.load(repo=repo, config="main", test_split="test", prompt="problem")
    assert splits.test["problem"] == ["j", "k"]
    assert splits.train["problem"] == list("abcdefghi")


def test_without_them_some_are_split_off_by_a_seed_of_the_config(repo: str) -> None:
    one, same, other = (hub.load(repo=repo, config="main", test=4, prompt="problem", seed=seed) for seed in (1, 1, 2))
    assert len(one.test) == 4 and len(one.train) == 6
    assert one.test["problem"] == same.test["problem"] != other.test["problem"]


def test_a_dataset_to_evaluate_on_has_nothing_to_train_on(repo: str) -> None:
    splits = hub.load(repo=repo, config="main", split=None, test_split="test")
    assert (len(splits.train), splits.test["problem"]) == (0, ["j", "k"])
    with pytest.raises(DataError, match=r"both dataset\.split and dataset\.test_split are null"):
        hub.load(repo=repo, split=None)


@pytest.mark.parametrize(
    ("config", "split", "message"),
    [
        (None, "train", "it has several configs\n    fix      dataset.config=NAME, one of: main, other"),
        ("mian", "train", "it has no config 'mian'\n    fix      dataset.config=NAME, one of: main, other"),
        ("main", "trian", "it has no split 'trian'\n    fix      dataset.split=NAME, one of: train, test"),
    ],
)
def test_a_wrong_word_is_told_with_those_that_there_are(
    config: str | None, split: str, message: str, repo: str
) -> None:
    with pytest.raises(DataError) as caught:
        hub.load(repo=repo, config=config, split=split)
    assert str(caught.value) == f"dataset.repo={repo} cannot be loaded: {message}"


def test_a_folder_that_was_saved_is_for_another_loader(tmp_path: Path) -> None:
    Dataset.from_list([{"a": 1}]).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"fix      dataset=local dataset\.path=.*saved"):
        hub.load(repo=str(tmp_path / "saved"))


def test_offline_is_said_with_what_it_means() -> None:
    with pytest.raises(DataError) as caught:
        hub.load(repo="no-such/thing")
    assert "HF_HUB_OFFLINE is set, so nothing is fetched from the Hub, and this machine has no copy" in str(
        caught.value
    )
    assert "hf download --repo-type dataset no-such/thing" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [  # the words of datasets 5.2
        (
            DatasetNotFoundError(
                "Dataset 'a/b' is a gated dataset on the Hub. You must be authenticated to access it."
            ),
            r"it is gated, or you are not logged in\n    fix      ask for access at https://.*/a/b",
        ),
        (
            DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed."),
            "no such dataset that you",
        ),
        (ConnectionError("Couldn't reach 'a/b' on the Hub (LocalEntryNotFoundError)"), "the Hub cannot be reached"),
        (ValueError("something else\nand more"), "cannot be loaded: something else$"),
    ],
)
def test_what_the_hub_says_is_one_message(error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(hub, "load_dataset", refuse)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    with pytest.raises(DataError, match=message) as caught:
        hub.read("a/b", None, "train")
    assert len(str(caught.value).splitlines()) <= 2
