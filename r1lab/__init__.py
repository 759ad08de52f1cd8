"""r1lab: composable experiments for training reasoning models.

from r1lab import compose, run

metrics = run(compose("task=grpo", "trainer.learning_rate=2e-4"))
"""

from r1lab.notebook import compose, run

__version__ = "0.1.0"
__all__ = ["compose", "run"]
