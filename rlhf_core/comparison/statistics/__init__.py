"""Statistics of returns over seeds: pure functions of arrays, one idea a file."""
