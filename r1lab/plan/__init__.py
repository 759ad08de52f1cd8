"""What a run will do, worked out without torch or a hub: its words, numbers, data, folder, and what speaks against it."""

from r1lab.plan.checks import Plan, plan
from r1lab.plan.words import check_words

__all__ = ["Plan", "check_words", "plan"]
