"""GRPO on the tiny model with TRL alone: the script that r1lab is measured against.

python -m benchmarks.bare_trl MODEL ROWS.jsonl STEPS SEED OUT.json
"""

import json
import sys
import time
from pathlib import Path

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from r1lab.rewards.math import accuracy as accuracy_of
from r1lab.rewards.text import format as format_of


def accuracy(completions, solution, **_):
    return accuracy_of([item[0]["content"] for item in completions], solution)


def format(completions, **_):
    return format_of([item[0]["content"] for item in completions])


class FirstStep(TrainerCallback):
    at = 0.0

    def on_step_end(self, args, state, control, **kwargs):
        self.at = self.at or time.time()


model_path, rows_path, steps, seed, out = sys.argv[1:]
rows = [json.loads(line) for line in Path(rows_path).read_text().splitlines()]
first = FirstStep()
trainer = GRPOTrainer(
    model=AutoModelForCausalLM.from_pretrained(model_path, dtype="float32"),
    processing_class=AutoTokenizer.from_pretrained(model_path),
    reward_funcs=[accuracy, format],
    train_dataset=Dataset.from_list(rows),
    callbacks=[first],
    args=GRPOConfig(
        output_dir=out + ".d",
        max_steps=int(steps),
        seed=int(seed),
        learning_rate=4e-4,
        lr_scheduler_type="linear",
        warmup_steps=8,
        per_device_train_batch_size=128,
        num_generations=8,
        max_completion_length=64,
        temperature=1.0,
        beta=0.0,
        loss_type="dapo",
        epsilon_high=0.28,
        weight_decay=0.0,
        adam_beta2=0.99,
        logging_steps=1,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        save_strategy="no",
        report_to="none",
    ),
)
began = time.time()
trainer.train()
ended = time.time()
rewards = [item["rewards/accuracy/mean"] for item in trainer.state.log_history if "rewards/accuracy/mean" in item]
record = {
    "train_s": ended - began,
    "first_step_at": first.at,
    "accuracy_last_10": sum(rewards[-10:]) / len(rewards[-10:]),
}
Path(out).write_text(json.dumps(record))
