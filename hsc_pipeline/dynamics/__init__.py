"""The engine: clone sizes under division, loss and competition for room."""

from hsc_pipeline.dynamics.kendall import simulate_clones

__all__ = ["simulate_clones"]
