"""`trl.SFTTrainer` that resumes exactly."""

from trl import SFTTrainer

from r1lab.trainers.resumable import Resumable


class SFT(Resumable, SFTTrainer):
    """Supervised fine-tuning as TRL does it."""
