"""Numbers that mean something only within a range."""

from __future__ import annotations

import math

from omegaconf import DictConfig, OmegaConf

from r1lab.errors import Finding
from r1lab.plan.fields import Where

SHARE, COUNT, POSITIVE, NOT_NEGATIVE = (0, 1), (1, math.inf), (1e-6, math.inf), (0, math.inf)
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "task.n": COUNT,
    "task.problems": COUNT,
    "task.temperature": NOT_NEGATIVE,
    "task.top_p": (1e-6, 1),
    "task.top_k": NOT_NEGATIVE,
    "task.min_p": SHARE,
    "task.max_tokens": COUNT,
    "task.keep": (-1e6, 1e6),
    "eval.problems": NOT_NEGATIVE,
    "eval.every": SHARE,
    "eval.temperature": NOT_NEGATIVE,
    "eval.top_p": (1e-6, 1),
    "eval.max_tokens": COUNT,
    "eval.batch": COUNT,
    "sweep.retries": NOT_NEGATIVE,
    "accelerator.threads": COUNT,
    "dataset.train": COUNT,
    "dataset.test": NOT_NEGATIVE,
    "dataset.max_prompt_tokens": COUNT,
    "dataset.max_tokens": COUNT,
    "dataset.digits": (1, 15),
    "dataset.terms": (2, 9),
    "dataset.carries": SHARE,
    "dataset.forget": SHARE,
    "dataset.slip": SHARE,
    "model.layers": COUNT,
    "model.hidden": COUNT,
    "model.heads": COUNT,
    "model.build.steps": COUNT,
    "model.build.problems": COUNT,
    "model.build.batch": COUNT,
    "model.build.digits": (1, 15),
    "model.build.terms": (2, 9),
    "model.build.carries": SHARE,
    "model.build.forget": SHARE,
    "model.build.slip": SHARE,
    "reward.accuracy.workers": COUNT,
    "reward.code.num_parallel": COUNT,
    "reward.binary_code.num_parallel": COUNT,
    "reward.coin_flip.p": SHARE,
    "reward.cosine.max_len": COUNT,
    "reward.repetition_penalty.n_grams": COUNT,
    "reward.repetition_penalty.max_penalty": (-math.inf, 0),
    "reward.soft_overlong_punishment.max_completion_len": COUNT,
    "reward.soft_overlong_punishment.soft_punish_cache": NOT_NEGATIVE,
    "trainer.learning_rate": (0, 1e3),
    "trainer.max_completion_length": COUNT,
    "trainer.temperature": POSITIVE,
    "trainer.top_p": (1e-6, 1),
    "trainer.top_k": NOT_NEGATIVE,
    "trainer.min_p": SHARE,
    "trainer.beta": NOT_NEGATIVE,
    "trainer.epsilon": NOT_NEGATIVE,
    "trainer.max_grad_norm": NOT_NEGATIVE,
    "trainer.num_iterations": COUNT,
    "trainer.num_train_epochs": POSITIVE,
    "trainer.repetition_penalty": POSITIVE,
    "trainer.warmup_steps": NOT_NEGATIVE,
    "trainer.adam_beta1": SHARE,
    "trainer.adam_beta2": SHARE,
    "trainer.dataloader_num_workers": NOT_NEGATIVE,
}


def check_ranges(cfg: DictConfig, where: Where) -> list[Finding]:
    """Numbers out of range, NaN among them; steps that are none; a model whose heads do not divide its width."""
    findings = []
    for key, (low, high) in RANGES.items():
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int | float) or (low <= value <= high and math.isfinite(value)):
            continue
        least = "above 0" if low == POSITIVE[0] else f"{low} or more" if low > -math.inf else ""
        most = f"at most {high}" if high < math.inf else ""
        fix = ", ".join(filter(None, (least, most)))
        findings.append(Finding(f"{key}={value} is out of range", where(key), fix=fix))
    for name, reward in (cfg.get("reward") or {}).items():
        if not math.isfinite(reward.get("weight", 1.0)):
            what = f"reward.{name}.weight={reward.weight} is no number to multiply with"
            findings.append(Finding(what, where(f"reward.{name}.weight")))
        if not 0 <= (share := reward.get("max_failures", 0.5)) <= 1:
            what = f"reward.{name}.max_failures={share} is out of range"
            findings.append(Finding(what, where(f"reward.{name}.max_failures"), fix="0 or more, at most 1"))
    steps = (cfg.get("trainer") or {}).get("max_steps", -1)
    if steps == 0 or steps < -1:
        what = f"trainer.max_steps={steps} would train for whole epochs"
        findings.append(Finding(what, where("trainer.max_steps"), fix="1 or more; to train nothing, task=eval"))
    model = cfg.model
    if model.get("hidden") and model.get("heads") and model.heads > 0 and model.hidden % model.heads:
        what = f"model.hidden={model.hidden} is not a multiple of model.heads={model.heads}"
        findings.append(Finding(what, where("model.hidden")))
    return findings
