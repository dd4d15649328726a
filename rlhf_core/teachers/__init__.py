"""Simulated teachers who know the true reward: how they judge, rate and demonstrate."""
