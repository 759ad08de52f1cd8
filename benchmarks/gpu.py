"""Training on one GPU: every accelerator that one GPU can have, beside bare TRL. Needs a GPU, and nothing of the Hub.

    python -m benchmarks.gpu OUT.json [seconds]

Builds a Qwen2 of about 0.2 billion random parameters in bfloat16, and trains it with SFT and GRPO under single, fsdp
(FSDP2), zero1, zero2 and zero3, each in a process of its own that r1lab starts, and with TRL's trainers alone. Each
case is tried by itself: what fails is written down with the end of what it said. Cases that would begin after `seconds`
(330) are left out; those that OUT.json holds already, by the same card, are kept, so that a second run goes on.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STEPS = {"sft": 24, "grpo": 8}
ROWS = {"sft": 32, "grpo": 64}  # in one forward pass: examples, completions
FIRST = 4  # steps that are not timed
LENGTH = 96
MODEL = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 12, "num_attention_heads": 16}


def build(folder: Path) -> int:
    """Write the model and its tokenizer; its number of parameters."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from r1lab.models.tiny import tokenizer

    tok = tokenizer()
    torch.manual_seed(0)
    config = Qwen2Config(
        **MODEL,
        vocab_size=266,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
    )
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters())


def words(task: str) -> list[str]:
    """A run's words, but for its accelerator."""
    return [
        f"task={task}",
        "dataset=arithmetic",
        "reward=[coin_flip]",
        "eval.problems=0",
        f"trainer.max_steps={STEPS[task]}",
        f"trainer.per_device_train_batch_size={ROWS[task]}",
        "trainer.gradient_checkpointing=false",
        "trainer.save_strategy=no",
        "trainer.learning_rate=1e-5",
        "trainer.lr_scheduler_type=constant",
        *(["trainer.max_completion_length=64"] if task == "grpo" else [f"trainer.max_length={LENGTH}"]),
    ]


def r1lab(task: str, accelerator: str, model: Path, folder: Path, *more: str) -> dict[str, Any]:
    """One run through r1lab."""
    run = [sys.executable, "-m", "r1lab", *words(task), "model=hub", f"model.path={model}", *more]
    run += [f"accelerator={accelerator}", "accelerator.gpus=1", f"hydra.run.dir={folder}"]
    began = time.monotonic()
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=150)
    found: dict[str, Any] = {"seconds": round(time.monotonic() - began, 1), "exit": done.returncode}
    if done.returncode:
        log = folder / "run.log"
        said = log.read_text(errors="replace") if log.is_file() else ""
        return {**found, "error": (done.stdout + done.stderr)[-2000:], "log": said[-3000:]}
    manifest = json.loads((folder / "manifest.json").read_text())
    records = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    records = [record for record in records if "loss" in record]
    found |= {"spread": manifest["spread"], "attention": manifest["model"]["attention"]}
    weights = sorted((folder / "model").glob("*.safetensors"))
    found["saved_bytes"] = sum(file.stat().st_size for file in weights)
    return found | summary([record["time"] for record in records], [record["loss"] for record in records])


def bare(task: str, model: Path, folder: Path) -> dict[str, Any]:
    """One run of TRL's trainer alone, in a process of its own."""
    out = folder.with_suffix(".json")
    command = [sys.executable, "-m", "benchmarks.gpu", "bare", task, str(model), str(out)]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150)
    found = {"seconds": round(time.monotonic() - began, 1), "exit": done.returncode}
    if done.returncode:
        return {**found, "error": (done.stdout + done.stderr)[-2000:]}
    return found | json.loads(out.read_text())


def summary(times: list[float], losses: list[float]) -> dict[str, Any]:
    """Milliseconds of a step, the first few left out, and the losses."""
    gaps = [after - before for before, after in zip(times[FIRST:], times[FIRST + 1 :], strict=False)]
    each = round(statistics.median(gaps) * 1000, 1) if gaps else None
    return {"ms_per_step": each, "losses": [round(loss, 4) for loss in losses[:8]]}


def train_bare(task: str, model: Path, out: Path) -> None:
    """The run of `words` with TRL alone."""
    import random

    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

    from r1lab.data import arithmetic

    times: list[float] = []
    device = "cuda" if torch.cuda.is_available() else "cpu"

    class Clock(TrainerCallback):
        def on_log(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
            times.append(time.monotonic())

    rows = Dataset.from_list(arithmetic.rows(arithmetic.problems("train", 2048, 3, 2, 42, 0.5), 42, 0.93, 0.02))
    rows = rows.map(
        lambda row: {
            "prompt": row["messages"][:1],
            "completion": row["messages"][1:],
        },
        remove_columns=["messages", "solution"],
    )
    common = {
        "output_dir": f"{out}.d",
        "max_steps": STEPS[task],
        "per_device_train_batch_size": ROWS[task],
        "learning_rate": 1e-5,
        "lr_scheduler_type": "constant",
        "bf16": torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 42,
    }
    shared = {
        "model": AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).to(device),
        "processing_class": AutoTokenizer.from_pretrained(model),
        "callbacks": [Clock()],
    }
    if task == "sft":
        args = SFTConfig(**common, max_length=LENGTH)
        trainer = SFTTrainer(args=args, train_dataset=rows, **shared)
    else:
        args = GRPOConfig(**common, num_generations=8, max_completion_length=64, beta=0.0, epsilon_high=0.28)
        rewards = [lambda completions, **_: [float(random.random() < 0.5) for _ in completions]]
        trainer = GRPOTrainer(args=args, train_dataset=rows.select_columns("prompt"), reward_funcs=rewards, **shared)
    trainer.train()
    losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    out.write_text(json.dumps(summary(times[: len(losses)], losses)))


def main() -> None:
    """Try every case and write the result after each."""
    import torch

    out, limit = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 330.0
    began = time.monotonic()
    result: dict[str, Any] = {
        "command": "python -m benchmarks.gpu OUT.json",
        "python": platform.python_version(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "cases": {},
    }
    if out.is_file() and (before := json.loads(out.read_text()))["gpu"] == result["gpu"]:
        result["cases"] = {name: case for name, case in before["cases"].items() if case.get("exit") == 0}
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / "model"
        try:
            result["parameters"] = build(model)
        except Exception as error:  # noqa: BLE001 - written down, as the cases' own
            result["build_error"] = f"{type(error).__name__}: {error}"
        flash = ["model.attention=flash_attention_2"] if importlib.util.find_spec("flash_attn") else []
        cases: list[tuple[str, Any]] = []
        for task in ("sft", "grpo"):
            cases += [(f"{task} bare", (bare, task)), (f"{task} single", (r1lab, task, "single"))]
        for accelerator in ("fsdp", "zero3", "zero2", "zero1"):
            cases += [(f"{task} {accelerator}", (r1lab, task, accelerator)) for task in ("sft", "grpo")]
        cases += [("grpo single, TRL's own steps", (r1lab, "grpo", "single", "engine.shortcuts=false"))]
        cases += [(f"{task} single, flash", (r1lab, task, "single", *flash)) for task in ("sft", "grpo") if flash]
        cases += [("sft zero3-offload", (r1lab, "sft", "zero3-offload"))]
        for name, (how, task, *rest) in cases:
            if name in result["cases"]:
                continue
            if time.monotonic() - began > limit:
                result["cases"][name] = {"left out": "no time was left"}
                continue
            folder = Path(place) / name.replace(" ", "-").replace(",", "").replace("'", "")
            try:
                if how is bare:
                    result["cases"][name] = bare(task, model, folder)
                else:
                    result["cases"][name] = r1lab(task, rest[0], model, folder, *rest[1:])
            except Exception as error:  # noqa: BLE001 - one case that fails leaves the others
                result["cases"][name] = {"error": f"{type(error).__name__}: {str(error)[-1500:]}"}
            print(name, json.dumps(result["cases"][name])[:600], flush=True)
            result["seconds"] = round(time.monotonic() - began, 1)
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRL_EXPERIMENTAL_SILENCE="1")
    if sys.argv[1] == "bare":
        train_bare(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
