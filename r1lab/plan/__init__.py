"""What a run will do, worked out without torch or a hub: its words, numbers, data and folder, and what is wrong."""

from r1lab.plan.checks import Plan, plan
from r1lab.plan.words import check_words

__all__ = ["Plan", "check_words", "plan"]
