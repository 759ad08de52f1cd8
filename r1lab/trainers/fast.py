"""`trl.GRPOTrainer` that does the same work per optimizer step, with the same numbers, in less time.

Every shortcut has a condition under which it applies; where it does not hold, TRL's own code runs. In several processes
(DDP) each samples its own completions with the shortcuts, and the loss is TRL's.
- completions come from `engines.sampler`, which runs what completions share once (`_can_sample_fast`);
- their log-probabilities, known from sampling, replace TRL's extra forward pass for the old policy's
  (`_can_reuse_logprobs`);
- the loss runs each distinct prompt of a micro-batch once and lets its completions attend to its keys and values
  (`_can_share_prompts`), and rows with the same prompt are put into the same micro-batch (`_can_regroup`);
- rows with advantage 0, which have no gradient, get no backward pass (`_loss_is_a_sum_over_rows`, beta 0).

The same seed gives the same run, but not the run that TRL's own code gives: random numbers are drawn in another order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation
from trl.trainer.utils import pad

from r1lab.engines.base import Sampling
from r1lab.engines.sampler import can_sample, sample, unique_rows
from r1lab.trainers.shared_prompts import shared_prompt_forward

Batch = dict[str, Any]  # tensors with one row per completion, and a few scalars

HARMLESS = {  # settings of a model's generation config that the trainer overrides or that do not bear on sampling
    "_from_model_config",
    "bos_token_id",
    "do_sample",
    "eos_token_id",
    "max_length",
    "max_new_tokens",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "temperature",
    "top_k",
    "top_p",
    "transformers_version",
    "use_cache",
}
SUMS = ("grpo", "dr_grpo", "dapo", "cispo")  # losses that add up what each row contributes


class FastGRPO(GRPOTrainer):
    """Drop-in replacement for `trl.GRPOTrainer`; each shortcut can be turned off by its attribute."""

    args: GRPOConfig
    model: PreTrainedModel

    fast_sampling = True
    reuse_logprobs = True
    share_prompts = True
    regroup = True
    skip_zero_advantages = True

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._sampled: tuple[Tensor, Tensor] | None = None  # completion ids and log-probabilities of the last sampling
        self._nonzero: Tensor | None = None  # (rows,): those of the current micro-batch that have a gradient
        self._plain = self._is_plain()

    def _is_plain(self) -> bool:
        """One text-only decoder, whole in every process, that gives equal rows equal results."""
        spread = self.is_deepspeed_enabled or self.is_fsdp_enabled
        return not (spread or self._is_vlm) and can_sample(self.model) and not _has_dropout(self.model)

    def _can_sample_fast(self) -> bool:
        """The trainer samples from its own model, with settings that `sample` knows."""
        other = self.use_vllm or self.use_transformers_continuous_batching or self.tools or self.rollout_func
        unusual = self.args.generation_kwargs or self.args.cache_implementation or self.repetition_penalty != 1.0
        if not self._plain or other or unusual:
            return False
        config = self.model.generation_config
        return config is None or config.to_diff_dict().keys() <= HARMLESS

    def _can_share_prompts(self, model: torch.nn.Module, prompt_width: int, modalities: dict[str, Any]) -> bool:
        """The forward pass is of a plain decoder on text, and keeps what the prompts leave in its cache.

        It is the model's own and not that of DDP's wrapper, which must see every pass that has a gradient.
        """
        checkpointing = model.training and getattr(model, "is_gradient_checkpointing", False)
        text_only = all(value is None for value in modalities.values())
        ours = model in (self.model, self.ref_model)
        return self._plain and ours and prompt_width > 1 and text_only and not checkpointing

    def _can_reuse_logprobs(self) -> bool:
        """Sampling and the loss see the same logits: full precision, positions that matter only by their difference."""
        full = self.accelerator.mixed_precision == "no" and self.model.dtype == torch.float32
        return full and getattr(self.model.config, "rope_parameters", None) is not None

    def _loss_is_a_sum_over_rows(self) -> bool:
        """The gradient of an optimizer step does not depend on which of its micro-batches a row is in."""
        more = self._entropy_bonus_enabled or self.aux_loss_enabled or self.top_entropy_quantile < 1.0
        return self.loss_type in SUMS and not more

    def _can_regroup(self) -> bool:
        """Micro-batches of one generation share optimizer steps in a fixed pattern, and the loss allows it."""
        steps, window = self.args.steps_per_generation or 1, self.args.gradient_accumulation_steps
        aligned = window > 1 and (steps % window == 0 or window % steps == 0)
        return self._plain and aligned and self._loss_is_a_sum_over_rows()

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        *rest: Any,
        **more: Any,
    ) -> tuple[list[list[int]], Any]:
        """Sample one completion of each prompt; TRL repeats a prompt as often as it wants completions of it."""
        self._sampled = None
        if images or multimodal_fields or not (self.fast_sampling and self._can_sample_fast()):
            return super()._generate_single_turn(prompt_ids, images, multimodal_fields, num_generations, *rest, **more)
        prompts = [torch.tensor(ids, device=self.accelerator.device) for ids in prompt_ids]
        sampling = Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p or 0.0,
            max_tokens=self.max_completion_length or Sampling.max_tokens,
        )
        with unwrap_model_for_generation(
            self.model_wrapped,
            self.accelerator,
            gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,  # type: ignore[arg-type]
        ) as model:
            ids, lengths, logprobs = sample(
                model,
                pad(prompts, padding_value=self._tokenizer.pad_token_id, padding_side="left"),
                pad([torch.ones_like(prompt) for prompt in prompts], padding_value=0, padding_side="left"),
                sampling,
                eos_token_ids=self.eos_token_ids,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        self._sampled = ids, logprobs
        return [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)], None

    def _prepare_inputs(self, generation_batch: Batch) -> Batch:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is before or not (self.regroup and self._can_regroup()):
            return inputs
        steps, window = self.args.steps_per_generation or 1, self.args.gradient_accumulation_steps
        for i in range(0, steps, window):
            self._buffered_inputs[i : i + window] = _regrouped(self._buffered_inputs[i : i + window])
        return self._buffered_inputs[self._step % steps]

    def _compute_loss(self, model: torch.nn.Module, inputs: Batch) -> Tensor:
        advantages = inputs["advantages"]  # (rows,), or (rows, tokens) in some subclasses
        if self.skip_zero_advantages and advantages.ndim == 1 and self.beta == 0.0 and self._loss_is_a_sum_over_rows():
            self._nonzero = advantages != 0
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self._nonzero = None

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **modalities: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Log-probabilities and entropies of the last `logits_to_keep` tokens, each (rows, logits_to_keep)."""
        nothing_else = not (torch.is_grad_enabled() or compute_entropy or compute_aux_loss)
        if nothing_else and model is self.model and self._sampled is not None and self.reuse_logprobs:
            ids, logprobs = self._sampled
            if self._can_reuse_logprobs() and torch.equal(ids, input_ids[:, -logits_to_keep:]):
                return logprobs * attention_mask[:, -logits_to_keep:], None, None
        share = self.share_prompts and self._can_share_prompts(model, input_ids.shape[1] - logits_to_keep, modalities)
        if share and not compute_aux_loss:
            assert isinstance(model, PreTrainedModel)
            return *self._shared(model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy), None
        return super()._get_per_token_logps_and_entropies(
            model,
            input_ids,
            attention_mask,
            logits_to_keep,
            batch_size,
            compute_entropy,
            compute_aux_loss,
            **modalities,
        )

    def _shared(
        self,
        model: PreTrainedModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        width: int,
        batch_size: int | None,
        compute_entropy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """`shared_prompt_forward` on parts of the rows: those with a gradient, then those without."""
        grad = torch.is_grad_enabled()
        active = self._nonzero if grad else None
        if active is None:
            parts = torch.arange(len(input_ids)).split(batch_size or len(input_ids))
        else:  # at least one row has a gradient, so that there is a graph
            parts = torch.argsort(active.int(), descending=True, stable=True).tensor_split([max(1, int(active.sum()))])
        logprobs: list[Tensor] = []
        entropies: list[Tensor] = []
        for i, part in enumerate(part for part in parts if len(part)):
            with torch.set_grad_enabled(grad and (active is None or i == 0)), self.accelerator.autocast():
                found = shared_prompt_forward(model, input_ids[part], attention_mask[part], width, compute_entropy)
            logprobs.append(found[0])
            entropies += [found[1]] if found[1] is not None else []
        back = torch.argsort(torch.cat(list(parts)))
        return torch.cat(logprobs)[back], torch.cat(entropies)[back] if entropies else None


def _has_dropout(model: torch.nn.Module) -> bool:
    rates = [
        module.p if isinstance(module, torch.nn.Dropout) else getattr(module, "attention_dropout", 0)
        for module in model.modules()
    ]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


def _regrouped(batches: list[Batch]) -> list[Batch]:
    """Redistribute the rows of one optimizer step: prompt by prompt, those with a gradient first, then by length."""
    if not all(isinstance(value, Tensor) for batch in batches for value in batch.values()):
        return batches
    rows = {key: torch.cat([batch[key] for batch in batches]) for key, value in batches[0].items() if value.ndim > 0}
    scalars = {key: value for key, value in batches[0].items() if value.ndim == 0}
    prompts = unique_rows(rows["prompt_ids"], rows["prompt_mask"])[1].tolist()
    idle = rows["advantages"].view(len(prompts), -1).eq(0).all(1).tolist()
    lengths = rows["completion_mask"].sum(1).tolist()
    rank = dict.fromkeys(prompts, (True, 0))  # of a prompt: whether all of its rows are idle, its longest completion
    for prompt, is_idle, length in zip(prompts, idle, lengths, strict=True):
        rank[prompt] = rank[prompt][0] and is_idle, max(rank[prompt][1], length)
    order = sorted(range(len(prompts)), key=lambda row: (*rank[prompts[row]], prompts[row]))
    parts = torch.tensor(order, device=rows["advantages"].device).split(len(order) // len(batches))
    return [scalars | {key: value[part] for key, value in rows.items()} for part in parts]
