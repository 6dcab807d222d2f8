"""What a request costs, as ratios measured in one interleaved run: machines differ, ratios hold."""
