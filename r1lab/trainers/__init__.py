"""TRL's trainers with what r1lab adds: progress, held-out evaluation, exact resumption, a faster GRPO step."""
