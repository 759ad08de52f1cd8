"""The numbers in conf/model: transformers' own classes, built from them without memory, have the published counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict
from transformers import AutoConfig, AutoModelForCausalLM

from r1lab.config.experiments import CONF
from r1lab.models import tiny
from r1lab.models.rope import NAMES
from r1lab.notebook import compose
from r1lab.plan.model import parameters_of

FILES = sorted(file.stem for file in (CONF / "model").glob("*.yaml") if file.stem not in ("hub", "tiny"))
NAMED = {  # every model that the documents of the project name: their exact counts, as safetensors' headers give them
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-1.5b-instruct": 1_543_714_304,
    "qwen2.5-math-7b": 7_615_616_512,
    "qwen2.5-math-7b-rope-300k": 7_615_616_512,
    "qwen-2.5-7b_base_math_smalllr": 7_615_616_512,
    "qwen2.5-coder-7b-instruct": 7_615_616_512,
    "qwen2.5-coder-32b-instruct": 32_763_876_352,
    "olympiccoder-7b": 7_615_616_512,
    "olympiccoder-32b": 32_763_876_352,
    "openr1-distill-7b": 7_615_616_512,
    "r1-distill-qwen-math-7b": 7_615_616_512,
    "r1-distill-qwen-math-7b-merges": 7_615_616_512,
    "deepseek-r1-distill-qwen-1.5b": 1_777_088_000,
    "deepseek-r1-distill-qwen-7b": 7_615_616_512,
    "deepseek-r1-distill-qwen-14b": 14_770_033_664,
    "deepseek-r1-distill-qwen-32b": 32_763_876_352,
    "deepseek-r1-distill-llama-8b": 8_030_261_248,
    "deepseek-r1-distill-llama-70b": 70_553_706_496,
    "deepseek-r1": 671_026_419_200,
    "deepseek-r1-zero": 671_026_419_200,
    "qwen3-0.6b-base": 596_049_920,
    "llama-3.2-1b": 1_235_814_400,
}


def model(name: str) -> DictConfig:
    cfg = compose(f"model={name}", "dry_run=true").model
    assert isinstance(cfg, DictConfig)
    return cfg


def real_config(cfg: DictConfig) -> Any:
    """transformers' config of a model from the numbers in its file."""
    numbers: dict[str, Any] = {
        "hidden_size": cfg.hidden,
        "intermediate_size": cfg.intermediate,
        "num_hidden_layers": cfg.layers,
        "num_attention_heads": cfg.heads,
        "num_key_value_heads": cfg.kv_heads,
        "vocab_size": cfg.vocabulary,
        "max_position_embeddings": cfg.context,
        "tie_word_embeddings": cfg.tied,
    }
    rope = {NAMES.get(str(key), str(key)): value for key, value in cfg.published_rope.items() if value is not None}
    if rope:
        numbers["rope_parameters"] = {"rope_type": "default", **rope}
    if cfg.head_dim:
        numbers["head_dim"] = cfg.head_dim
    if cfg.type in ("llama", "qwen3"):
        numbers["attention_bias"] = cfg.bias
    if cfg.experts.routed:
        numbers |= {
            "n_routed_experts": cfg.experts.routed,
            "n_shared_experts": cfg.experts.shared,
            "num_experts_per_tok": cfg.experts.active,
            "moe_intermediate_size": cfg.experts.intermediate,
            "first_k_dense_replace": cfg.experts.dense_layers,
            "q_lora_rank": cfg.latent.query_rank,
            "kv_lora_rank": cfg.latent.kv_rank,
            "qk_rope_head_dim": cfg.latent.rope_dim,
            "qk_nope_head_dim": cfg.latent.nope_dim,
            "v_head_dim": cfg.latent.value_dim,
        }
    return AutoConfig.for_model(cfg.type, **numbers)


def test_every_model_of_the_documents_has_its_file() -> None:
    assert set(FILES) == set(NAMED)


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_its_repository_and_says_where_its_facts_are_from(name: str) -> None:
    cfg = model(name)
    assert cfg.repo.rpartition("/")[2].lower() == name == cfg.name
    first = Path(CONF / "model" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# https://huggingface.co/{cfg.repo}")
    assert cfg.revision and cfg.attention == "auto" and cfg.dtype == "bfloat16"


@pytest.mark.parametrize("name", FILES)
def test_the_architecture_has_the_published_count(name: str) -> None:
    cfg = model(name)
    with torch.device("meta"):
        built: Any = AutoModelForCausalLM.from_config(real_config(cfg))
    biases = [item for key, item in built.named_buffers() if "e_score_correction_bias" in key]  # weights of the router
    counted = sum(item.numel() for item in built.parameters()) + sum(item.numel() for item in biases)
    assert counted == cfg.parameters == NAMED[name]
    projection = built.model.layers[0].self_attn
    if cfg.type != "deepseek_v3":
        assert (projection.q_proj.bias is not None) == cfg.bias


@pytest.mark.parametrize("name", FILES)
def test_the_formula_gives_the_count_without_being_told(name: str) -> None:
    cfg = model(name)
    with open_dict(cfg):
        cfg.parameters = None
    assert parameters_of(cfg) == NAMED[name]


def test_a_model_without_a_count_is_worked_out() -> None:
    cfg = compose().model
    assert parameters_of(cfg) == sum(item.numel() for item in tiny.network(cfg, tiny.tokenizer()).parameters())
    unknown = OmegaConf.create({"layers": 2})
    assert isinstance(unknown, DictConfig) and parameters_of(unknown) is None
