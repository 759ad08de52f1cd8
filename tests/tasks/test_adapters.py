"""Adapters from config to folder, and what every saved model carries."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from r1lab.errors import ConfigError
from r1lab.models import adapters, tiny
from r1lab.models.card import card
from r1lab.models.loading import load
from r1lab.models.templates import CHATML
from r1lab.notebook import compose, run
from r1lab.trainers.stream import CLOCKS
from tests.models.families import save

pytestmark = pytest.mark.whole

Go = Callable[..., tuple[dict[str, Any], Path]]
LORA = ("adapter=lora", "adapter.r=4", "adapter.lora_dropout=0.1")
STEPS = ("trainer.max_steps=4", "trainer.save_steps=2", "trainer.save_total_limit=2", "trainer.learning_rate=1e-2")
BATCH = {
    "sft": ("trainer.per_device_train_batch_size=4",),
    "grpo": ("trainer.per_device_train_batch_size=8", "trainer.steps_per_generation=2"),
}


@pytest.fixture
def go(small: tuple[str, ...], tmp_path: Path) -> Go:
    def make(task: str, *words: str, folder: str = "run") -> tuple[dict[str, Any], Path]:
        random.seed(0)
        cfg = compose(f"task={task}", *small, "debug=true", "reward=[coin_flip,accuracy]", "eval.every=0", *words)
        return run(cfg, tmp_path / folder), tmp_path / folder

    return make


def base(small: tuple[str, ...]) -> dict[str, torch.Tensor]:
    return load_file(tiny.cached(compose(*small).model) / "model.safetensors")


def stream(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in item.items() if key not in CLOCKS} for item in lines]


def product(adapter: dict[str, torch.Tensor], layer: str, scale: float) -> torch.Tensor:
    """What an adapter adds to a layer's weight: scale × B A, from the saved file alone."""
    name = f"base_model.model.{layer}"
    return scale * adapter[f"{name}.lora_B.weight"] @ adapter[f"{name}.lora_A.weight"]


@pytest.mark.parametrize("task", ["sft", "grpo"])
def test_lora_trains_the_adapter_alone_and_resumes_exactly(go: Go, small: tuple[str, ...], task: str) -> None:
    words = (*LORA, *STEPS, *BATCH[task])
    metrics, folder = go(task, *words)
    before, after = base(small), load_file(folder / "model/model.safetensors")
    adapter = load_file(folder / "adapter/adapter_model.safetensors")
    assert before.keys() == after.keys() and metrics["steps"] == 4
    layer = "model.layers.0.self_attn.q_proj"
    added = product(adapter, layer, scale=32 / 4)
    assert added.abs().max() > 1e-4
    torch.testing.assert_close(after[f"{layer}.weight"], before[f"{layer}.weight"] + added)
    frozen = [name for name in before if "_proj.weight" not in name]
    assert frozen and all(torch.equal(before[name], after[name]) for name in frozen)
    manifest = json.loads((folder / "manifest.json").read_text())["model"]
    assert manifest["trained"] == sum(tensor.numel() for tensor in adapter.values())
    assert manifest["parameters"] == manifest["trained"] + sum(tensor.numel() for tensor in before.values())

    broken = folder.with_name("broken")  # what a kill after the second step leaves
    shutil.copytree(folder, broken)
    for gone in ("checkpoints/checkpoint-4", "model", "adapter"):
        shutil.rmtree(broken / gone)
    (broken / "metrics.json").unlink()
    _, again = go(task, *words, folder="broken")
    assert stream(again) == stream(folder)
    for file in ("adapter/adapter_model.safetensors", "model/model.safetensors"):
        assert (again / file).read_bytes() == (folder / file).read_bytes()


def test_an_adapter_is_loaded_like_any_model(go: Go, small: tuple[str, ...]) -> None:
    _, merged = go("sft", *LORA, *STEPS, *BATCH["sft"])
    _, alone = go("sft", *LORA, *STEPS, *BATCH["sft"], "adapter.merge=false", folder="alone")
    assert not (alone / "adapter").exists() and not (alone / "model/model.safetensors").exists()
    models = [load(compose(*small, f"model.path={folder}/model").model, "cpu")[0] for folder in (merged, alone)]
    first, second = (model.state_dict() for model in models)
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    metrics, _ = go("eval", "task.n=1", "task.k=[1]", f"model.path={alone}/model", folder="eval")
    assert metrics["problems"] == 8
    go("sft", *LORA, *BATCH["sft"], "trainer.max_steps=1", f"model.path={alone}/model", folder="further")
    for card_of in (alone / "model", merged / "adapter", merged / "model"):
        text = (card_of / "README.md").read_text()
        adapter = card_of != merged / "model"
        assert ("AutoPeftModelForCausalLM" in text) == ("library_name: peft" in text) == adapter


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")  # peft saves the grown embedding: so it should
def test_tokens_added_for_chatml_are_trained_beside_an_adapter(tmp_path: Path) -> None:
    folder = save("llama base", tmp_path / "llama")
    words = ["task=sft", "model=hub", f"model.path={folder}", "model.dtype=float32", "accelerator=cpu", "debug=true"]
    words += ["dataset=arithmetic", "dataset.train=16", "dataset.test=4", "eval.problems=0", *BATCH["sft"]]
    words += ["trainer.max_steps=2", "trainer.learning_rate=1e-2", "trainer.max_length=512", *LORA]
    cfg = compose(*words)
    run(cfg, tmp_path / "run")
    before, tok = load(cfg.model, "cpu")
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "run/model")
    added = adapters.added_tokens(cfg.model, tok)
    assert tok.convert_ids_to_tokens(added) == ["<|im_start|>", "<|im_end|>"]
    was, now = before.get_input_embeddings().weight, after.get_input_embeddings().weight
    moved = (was != now).any(1).nonzero().flatten().tolist()
    assert moved == added


def test_what_a_saved_model_carries(go: Go) -> None:
    words = ("trainer.max_steps=1", "trainer.gradient_checkpointing=true", *BATCH["sft"])
    metrics, folder = go("sft", *words, "dataset.system_prompt='Add, {}.'")
    config = json.loads((folder / "model/config.json").read_text())
    generation = json.loads((folder / "model/generation_config.json").read_text())
    tok = AutoTokenizer.from_pretrained(folder / "model")
    assert config["use_cache"] is True and generation.get("use_cache", True) is True
    ends = generation["eos_token_id"]
    assert tok.eos_token_id in (ends if isinstance(ends, list) else [ends])
    assert tok.chat_template == CHATML and tok.eos_token == tiny.END
    text = (folder / "model/README.md").read_text()
    _, front, body = text.split("---\n", 2)
    meta = yaml.safe_load(front)
    assert meta == {"library_name": "transformers", "tags": ["r1lab", "sft"]}
    assert "training_args.bin" not in {file.name for file in (folder / "model").iterdir()}  # it may hold a token
    assert str(folder) not in text and str(Path.home()) not in text and str(tiny.cache_root()) not in text
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("|")
    ]
    rows = {cell[0]: cell[1] for cell in cells}
    assert (
        rows["steps"] == "1" and rows["data"] == "arithmetic" and rows["measured by"] == "coin_flip × 1, accuracy × 1"
    )
    assert rows["accuracy"] == f"{metrics['eval/accuracy_before']:.3f}"
    code = body.split("```python\n")[1].split("```")[0].replace("FOLDER OR REPOSITORY", str(folder / "model"))
    exec(compile(code, "card", "exec"), {})  # the card's own lines load the model and sample from it


def test_a_card_of_a_published_base_links_to_it() -> None:
    cfg = compose("model=qwen2.5-math-7b", "dataset=openr1-math-220k", "adapter=lora", "dry_run=true")
    text = card(cfg, {"steps": 3, "eval/accuracy": 0.5, "eval/accuracy_before": 0.25})
    meta = yaml.safe_load(text.split("---\n")[1])
    assert meta["base_model"] == "Qwen/Qwen2.5-Math-7B" and meta["datasets"] == ["open-r1/OpenR1-Math-220k"]
    assert "| base | qwen2.5-math-7b at main |" in text and "| adapter | lora, rank 16, merged |" in text
    assert "| accuracy | 0.250 | 0.500 |" in text


def test_peft_that_refuses_or_is_missing(small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose(*small, *LORA)
    tok: Any = load(cfg.model, "cpu")[1]
    assert adapters.peft_config(compose(*small), tok) is None
    assert adapters.peft_config(cfg, tok).r == 4
    cfg.adapter.layers_to_transform, cfg.adapter.target_modules = [0], ".*q_proj"
    with pytest.raises(ConfigError, match="peft refuses the adapter's settings"):
        adapters.peft_config(cfg, tok)
    monkeypatch.setattr(adapters, "installed", lambda package: False)
    with pytest.raises(ConfigError, match=r"pip install 'peft>=0\.21'"):
        adapters.peft_config(cfg, tok)


def test_a_wrong_field_of_an_adapter_is_refused() -> None:
    for word, nearest in (
        ("adapter.lora_alfa=3", "adapter.lora_alpha"),
        ("adapter.quantisation.load_in_4bits=true", ""),
    ):
        with pytest.raises(ConfigError) as caught:
            compose("adapter=qlora", word, "dry_run=true")
        assert caught.value.findings[0].what.startswith(f"{word.partition('=')[0]} is not a field")
        assert caught.value.findings[0].nearest == (nearest or "adapter.quantisation.load_in_4bit")


@pytest.mark.parametrize(
    "words", [(), ("model.rope.theta=100", "model.context=256"), LORA], ids=["as it is", "rope", "adapter"]
)
def test_the_reference_is_the_model_before_training(go: Go, words: tuple[str, ...], small: tuple[str, ...]) -> None:
    """At the first step policy and reference are one model, so that their divergence is 0."""
    _, folder = go(
        "grpo",
        *words,
        *BATCH["grpo"],
        "trainer.beta=0.1",
        "trainer.max_steps=2",
        "trainer.learning_rate=0.1",
        "trainer.warmup_steps=0",
    )
    kl = [item["kl"] for item in stream(folder) if "kl" in item]
    assert kl[0] == pytest.approx(0, abs=1e-6) and kl[1] > 1e-4
    assert (folder / "reference").exists() == ("model.rope.theta=100" in words)


def test_the_reference_of_a_merged_adapter(go: Go) -> None:
    _, first = go("sft", *LORA, *STEPS, *BATCH["sft"], "adapter.merge=false", folder="first")
    words = (f"model.path={first}/model", *BATCH["grpo"], "trainer.beta=0.1", "trainer.max_steps=1")
    _, folder = go("grpo", *words)
    assert [item["kl"] for item in stream(folder) if "kl" in item] == [pytest.approx(0, abs=1e-6)]
