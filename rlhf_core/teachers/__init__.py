"""Simulated teachers, who know the true reward: comparisons, ratings and demonstrations."""
