"""Retraining with MLflow's registry: contenders are loaded, gated, and the outcome written down."""
