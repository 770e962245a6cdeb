"""The engine: clone sizes under division, loss and competition for room.

`simulate_clones` simulates one patient, `simulate_patients` a block of patients with drivers.
docs/engine.md derives the algorithm and its error bounds.
"""

from hsc_pipeline.dynamics.drivers import Drivers
from hsc_pipeline.dynamics.simulate import Simulation, simulate_clones, simulate_patients

__all__ = ["Drivers", "Simulation", "simulate_clones", "simulate_patients"]
