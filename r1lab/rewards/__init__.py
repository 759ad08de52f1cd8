"""Rewards, by the config's names: `load("format")(completions)`."""

from __future__ import annotations

from r1lab.rewards.base import Failure, Reward, build
from r1lab.rewards.named import load

__all__ = ["Failure", "Reward", "build", "load"]
