"""Pipelines: runs that take each other's models and data, one after another here or as jobs of a queue."""
