"""Statistics, tables, figures and the report of a comparison of runs."""
