"""Rows of local files and of mixtures, looked at without a library for data: the planner and the loaders share it."""
