"""Tracking: measures and statistics of measured clones, each with its error.

Takes tables of clones (a row per sample and clone) from a laboratory; reads nothing that the chain
simulates, except the engine and the catalogue.
"""

from hsc_pipeline.tracking.coalescence import coalescence_posterior
from hsc_pipeline.tracking.dominance import mrce
from hsc_pipeline.tracking.indices import diversity
from hsc_pipeline.tracking.population import population_size

__all__ = ["coalescence_posterior", "diversity", "mrce", "population_size"]
