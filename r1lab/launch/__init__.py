"""Who runs what where: starting a run's processes and hearing how they ended."""
