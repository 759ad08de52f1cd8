"""TRL's trainers with what r1lab adds: streams and progress, held-out evaluation, exact resumption, a faster GRPO step."""
