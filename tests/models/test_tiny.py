"""The built model: what its cache name depends on, who builds it, and its tokenizer."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from r1lab.models import tiny
from r1lab.models.tiny import END, PAD, START, TAGS, cached, ensure, ingredients, tokenizer
from r1lab.notebook import compose
from tests.conftest import SMALL

TOK = tokenizer()


CONFIG = compose(*SMALL).model


def config() -> DictConfig:
    """The small model's config, to be changed."""
    return copy.deepcopy(CONFIG)


NUMBERS = ("layers", "hidden", "intermediate", "heads", "kv_heads", "vocabulary", "context")


@pytest.mark.parametrize("key", [*NUMBERS, *(f"build.{name}" for name in CONFIG.build)])
def test_every_number_is_part_of_the_name(key: str) -> None:
    changed = config()
    value = OmegaConf.select(changed, key)
    OmegaConf.update(changed, key, value * 2 + 1)
    assert cached(changed) != cached(config())
    assert cached(config()) == cached(config())


def test_the_code_and_the_libraries_are_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {cached(config())}
    monkeypatch.setattr(tiny.inspect, "getsource", lambda part: "other code")
    names.add(cached(config()))
    for library in tiny.LIBRARIES:
        monkeypatch.setattr(tiny, "version", lambda name, library=library: "0" if name == library else "1")
        names.add(cached(config()))
    assert len(names) == 2 + len(tiny.LIBRARIES)


def test_the_template_the_rows_and_the_recipe_are_part_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(tiny.inspect, "getsource", lambda part: read.append(part.__name__) or "")
    ingredients(config())
    assert set(read) == {"r1lab.data.arithmetic", "r1lab.models.templates", "conversations", "r1lab.models.tiny"}


def test_the_seed_of_the_run_is_the_seed_of_the_model() -> None:
    assert cached(compose(*SMALL, "seed=1").model) != cached(compose(*SMALL, "seed=2").model)


def test_a_process_that_comes_while_another_builds_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import sys
from r1lab.models import tiny
from r1lab.notebook import compose
build = tiny.build
tiny.build = lambda *args: (print("building", flush=True), build(*args))
tiny.ensure(compose(*sys.argv[1:]).model)
"""
    monkeypatch.setenv("R1LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(tiny, "build", lambda *_: pytest.fail("it was built twice"))
    with subprocess.Popen([sys.executable, "-c", code, *SMALL], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "building\n"
        folder = ensure(config())
        assert {"model.safetensors", "tokenizer.json", "ingredients.json"} <= {path.name for path in folder.iterdir()}
        other.communicate(timeout=60)
    assert other.returncode == 0
    assert [path for path in (tmp_path / "models").iterdir() if path.is_dir()] == [folder]


def test_a_build_that_fails_leaves_nothing_to_be_taken_for_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1LAB_CACHE", str(tmp_path))
    build = tiny.build

    def dies(cfg: DictConfig, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny, "build", dies)
    with pytest.raises(KeyboardInterrupt):
        ensure(config())
    assert not [path for path in (tmp_path / "models").iterdir() if path.is_dir()]
    half = tmp_path / "models" / f".{cached(config()).name}-abc"  # what a kill leaves behind
    half.mkdir()
    monkeypatch.setattr(tiny, "build", build)
    folder = ensure(config())
    assert (folder / "model.safetensors").is_file()
    assert json.loads((folder / "ingredients.json").read_text()) == ingredients(config())


def test_the_same_recipe_gives_the_same_weights(small: Any, tmp_path: Path) -> None:
    tiny.build(config(), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (ensure(config()) / "model.safetensors").read_bytes()


def test_a_run_after_the_build_chooses_its_own_precision(tmp_path: Path) -> None:
    tiny.build(config(), tmp_path)
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    assert accelerator.mixed_precision == "bf16"
    AcceleratorState._reset_state()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_survives_the_tokenizer(text: str) -> None:
    ids = TOK.encode(text, add_special_tokens=False)
    assert TOK.decode(ids) == text
    assert all(0 <= token < len(TOK) for token in ids)


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_is_one_token_that_decoding_keeps(tag: str) -> None:
    (token,) = TOK.encode(tag, add_special_tokens=False)
    assert token not in TOK.all_special_ids
    assert TOK.decode([token], skip_special_tokens=True) == tag
    assert token in TOK.encode(f"x{tag}\ny", add_special_tokens=False)


def test_special_tokens_are_special_and_the_configured_vocabulary_holds_all() -> None:
    ids = TOK.convert_tokens_to_ids([PAD, START, END])
    assert len(set(ids)) == 3 and TOK.decode([*ids, *TOK.encode("x")], skip_special_tokens=True) == "x"
    assert (TOK.eos_token, TOK.pad_token) == (END, PAD)
    assert max(TOK.get_vocab().values()) < compose().model.vocabulary == len(TOK)


def test_the_template_ends_every_message_with_the_end_token() -> None:
    talk = [{"role": role, "content": role.upper()} for role in ("system", "user", "assistant")]
    text = TOK.apply_chat_template(talk, tokenize=False)
    assert text == "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in talk)
    asked = TOK.apply_chat_template(talk[:2], tokenize=False, add_generation_prompt=True)
    assert asked + "ASSISTANT<|im_end|>\n" == text
    ids = TOK.apply_chat_template(talk, return_dict=False)
    assert ids.count(TOK.eos_token_id) == 3
