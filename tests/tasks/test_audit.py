"""The audit on each family's tokenizer: what is sound passes, and each fault is one finding with its fix."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, open_dict

from r1lab.errors import ConfigError
from r1lab.launch import local
from r1lab.models.tokens import load_tokenizer
from r1lab.notebook import compose
from r1lab.plan.checks import resolve
from r1lab.rewards.base import build_all
from r1lab.tasks import audit as module
from r1lab.tasks.audit import audit, require
from tests.command_line import CommandLine, r1lab
from tests.models.families import FAMILIES, THINK, Family, save

__all__ = ["r1lab"]
DATA = ("dataset=arithmetic", "dataset.train=16", "dataset.test=4", "accelerator=cpu")
ALL = "accuracy,format,tag_count,reasoning_steps,cosine,repetition_penalty,soft_overlong_punishment,length,coin_flip"


def run(folder: Path, *words: str, task: str = "grpo", rewards: str = "accuracy,format") -> DictConfig:
    return compose(
        f"task={task}", "model=hub", f"model.path={folder}", "model.dtype=float32", *DATA, f"reward=[{rewards}]", *words
    )


@pytest.mark.parametrize("task", ["grpo", "sft", "rft"])
@pytest.mark.parametrize("family", ["qwen2.5 base", "qwen2.5 instruct", "llama base", "llama instruct"])
def test_a_sound_run_passes_with_every_reward_of_a_completion(family: str, task: str, tmp_path: Path) -> None:
    assert audit(run(save(family, tmp_path), task=task, rewards=ALL)) == []


@pytest.mark.parametrize("task", ["grpo", "sft"])
def test_distilled_models_with_r1labs_template_pass(task: str, tmp_path: Path) -> None:
    folder = save("deepseek distill", tmp_path)
    assert audit(run(folder, "model.chat_template=deepseek", task=task, rewards=ALL)) == []


def test_the_default_run_passes(small: tuple[str, ...]) -> None:
    assert audit(compose(*small)) == []


def test_a_template_that_opens_the_think_block(tmp_path: Path) -> None:
    folder = save("deepseek distill", tmp_path)
    findings = audit(run(folder, rewards="accuracy,format,tag_count"))
    assert [(item.where, item.nearest) for item in findings] == [
        ("reward.format", "reward=[accuracy,think_format,tag_count]"),
        ("reward.tag_count", ""),
    ]
    assert all("ends the prompt with <think>" in item.what for item in findings)
    assert all(item.fix.startswith("model.chat_template=deepseek") for item in findings)
    assert audit(run(folder, rewards="accuracy,think_format")) == []
    (other,) = audit(run(folder, "model.chat_template=deepseek", rewards="accuracy,think_format"))
    assert other.nearest == "reward=[accuracy,format]" and "leaves <think> to the completion" in other.what


def test_a_template_that_drops_the_thinking_it_should_teach(tmp_path: Path) -> None:
    (finding,) = audit(run(save("deepseek distill", tmp_path), task="sft", rewards="accuracy"))
    assert "leaves out the thinking" in finding.what and finding.fix == "model.chat_template=deepseek"


def test_a_template_that_rewrites_answers_only_warns(tmp_path: Path) -> None:
    folder = save("qwen3 base", tmp_path)  # its template puts an empty line behind the thinking
    assert audit(run(folder)) == []
    (finding,) = audit(run(folder, task="sft"))
    assert finding.severity == "warning"
    assert "rewrites an answer, and reward format then gives it 0, not 1" in finding.what
    assert audit(run(folder, "model.chat_template=chatml", task="sft")) == []


def test_tags_that_decoding_drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qwen = FAMILIES["qwen2.5 base"]
    special = Family("qwen2", (*qwen.special, *THINK), qwen.eos, qwen.pad, template=qwen.template, ends=qwen.ends)
    monkeypatch.setitem(FAMILIES, "special", special)
    (finding,) = audit(run(save("special", tmp_path)))
    assert finding.what.startswith("<think>, </think> are special tokens") and finding.fix
    assert audit(run(tmp_path, rewards="accuracy")) == []


def test_an_end_token_that_the_template_never_writes(tmp_path: Path) -> None:
    folder = save("qwen2.5 base", tmp_path)
    (finding,) = audit(run(folder, "model.eos_token='<|endoftext|>'", task="sft"))
    assert finding.what == "the end token <|endoftext|> has no label: the template ends an answer with <|im_end|>"
    assert finding.nearest == "\"model.eos_token='<|im_end|>'\""
    assert audit(run(folder, "model.eos_token='<|endoftext|>'")) == []  # sampling stops at both


@pytest.mark.parametrize(("ending", "said"), [("", "puts no end"), ("DONE", "ends an answer with 'DONE'")])
def test_a_template_whose_turns_have_no_end(ending: str, said: str, tmp_path: Path) -> None:
    folder, file = save("qwen2.5 base", tmp_path / "model"), tmp_path / "open.jinja"
    file.write_text("{% for m in messages %}{{ m['content'] }}" + ending + "{% endfor %}")
    for task, severity in (("sft", "error"), ("grpo", "warning")):
        (finding,) = audit(run(folder, f"model.chat_template={file}", task=task))
        assert said in finding.what and finding.severity == severity


def test_rewards_that_no_completion_meets_together(tmp_path: Path) -> None:
    folder = save("deepseek distill", tmp_path)
    findings = audit(run(folder, "model.chat_template=deepseek", rewards="multiple_choice,format"))
    assert [(item.where, item.severity) for item in findings] == [("reward.multiple_choice", "warning")]
    assert "can verify none of the first 8 gold answers" in findings[0].what  # sums are no letters


def test_what_cannot_be_loaded_is_a_finding(tmp_path: Path) -> None:
    cfg = run(save("qwen2.5 base", tmp_path / "model"))
    with open_dict(cfg):
        cfg.model.path = str(tmp_path / "nowhere")
    (finding,) = audit(cfg)
    assert "cannot be loaded" in finding.what
    cfg.model.path, cfg.model.chat_template = str(tmp_path / "model"), "{{ nothing.at.all }}"
    (finding,) = audit(cfg)
    assert finding.what == "the chat template cannot be rendered: 'nothing' is undefined"


def test_dice_and_states_are_left_as_they_were(small: tuple[str, ...]) -> None:
    class Counting:
        count = 0

        def __call__(self, completions: list[str], solution: list[str]) -> list[float]:
            self.count += 1
            return [1.0] * len(completions)

        def state_dict(self) -> dict[str, int]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.count = state["count"]

    cfg = compose(*small, "reward=[coin_flip,exact]")
    rewards = build_all(cfg)
    rewards[1].function = function = Counting()
    random.seed(1)
    before = random.getstate()
    require(cfg, load_tokenizer(cfg.model), [{"prompt": "?", "solution": "5"}], rewards)
    assert random.getstate() == before and function.count == 0


@pytest.mark.whole
def test_a_run_with_a_fault_is_refused_before_it_loads_a_weight(tmp_path: Path) -> None:
    folder = save("deepseek distill", tmp_path / "model")
    (folder / "model.safetensors").unlink()
    cfg = resolve(run(folder))
    with pytest.raises(ConfigError) as caught:
        local.launch(cfg, tmp_path / "run")
    assert caught.value.findings == audit(cfg)  # through the worker's process, as they were
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert (manifest["status"], manifest["exit"]) == ("failed", 2)


def test_dry_run_full(tmp_path: Path, r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("r1lab.main.audit", lambda cfg: seen.append(cfg) or audit(cfg))  # the child's work, here
    words = ["model=hub", "model.dtype=float32", *DATA, "dry_run=full"]
    said = r1lab(f"model.path={save('qwen2.5 base', tmp_path / 'qwen')}", *words)
    assert said.code == 0 and "audit tokenizer, template, data and rewards were looked at" in said.out
    said = r1lab(f"model.path={save('deepseek distill', tmp_path / 'distill')}", *words)
    assert said.code == 2 and "1 problem; nothing was started" in said.err and "think_format" in said.err
    assert len(seen) == 2 and said.started == {}
    assert r1lab("task=eval", f"model.path={tmp_path / 'qwen'}", *words).code == 0 and len(seen) == 2


@pytest.mark.whole
def test_the_audits_own_process(tmp_path: Path) -> None:
    cfg = run(save("deepseek distill", tmp_path))
    assert local.audit(cfg) == module.audit(cfg) != []
