"""r1lab: composable experiments for training reasoning models."""
