"""Benchmarks of nncore beside its peers: same weights, same inputs, outputs compared first."""
