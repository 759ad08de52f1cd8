"""Experiment trackers, fed from the run's own stream: one small sink for each behind one protocol."""
