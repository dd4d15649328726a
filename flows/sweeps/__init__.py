"""The parts of a sweep: its trials as cells, its final comparison, and what is told of it."""
