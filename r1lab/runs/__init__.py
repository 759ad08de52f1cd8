"""A run's folder: who writes it and how, so that a kill at any moment leaves it readable and resumable."""
