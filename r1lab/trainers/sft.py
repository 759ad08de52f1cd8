"""`trl.SFTTrainer` that resumes exactly."""

from __future__ import annotations

from typing import Any

from trl import SFTConfig, SFTTrainer

from r1lab.trainers.resumable import Resumable


class SFT(Resumable, SFTTrainer):
    """Supervised fine-tuning as TRL does it, in an order of rows that depends on the seed alone."""

    def __init__(self, *, args: SFTConfig, **kwargs: Any):
        if args.data_seed is None:
            args.data_seed = args.seed  # else it is torch's seed of the moment, which a resumed run need not share
        super().__init__(args=args, **kwargs)
