"""How good is it really: true returns, statistics, diagnostics, pictures."""
