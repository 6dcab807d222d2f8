"""What a chart says and what a rule makes of it: pure functions, no file, network, clock or randomness."""
