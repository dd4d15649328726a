"""Comparisons: a matrix of runs, played in worker processes, and what came of it."""
