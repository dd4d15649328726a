"""Evaluation by the true reward: returns, statistics, diagnostics, plots, films and clips."""
