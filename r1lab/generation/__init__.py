"""Data from a model: engines built from a config, prompts from rows, completions kept, scored, chosen and written."""
