"""Algorithms of Stable-Baselines3 and sb3-contrib on learned rewards."""
