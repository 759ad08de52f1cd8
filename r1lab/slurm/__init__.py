"""Slurm: its commands and what they answer, the script of a job, what was submitted where and what became of it."""
