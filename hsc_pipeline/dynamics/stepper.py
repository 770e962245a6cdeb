"""Every clone by short steps: the independent cross-check of the two-level engine.

Slow, short and obviously right: Kendall's transition for each clone, its rates held at their value
for the predicted middle of the step.
"""

import numpy as np

from hsc_pipeline.dynamics.rates import Feedback, Tables, kendall_parameters, transition


def step_clones(
    rng: np.random.Generator,
    sizes: np.ndarray,
    kind: np.ndarray,
    tables: Tables,
    feedback: Feedback,
    times: np.ndarray,
    longest: float,
) -> np.ndarray:
    """Return clone sizes at the visits, shape (visits, clones), in steps of at most `longest` years."""
    n, now = np.asarray(sizes, np.int64), 0.0
    out = np.zeros((len(times), len(n)), np.int64)
    classes = tables.division.shape[2]
    for visit, stop in enumerate(times):
        for piece in tables.pieces(now, stop):
            steps = int(np.ceil((piece.stop - piece.start) / longest))
            years = (piece.stop - piece.start) / steps
            for _ in range(steps):
                totals = np.bincount(kind, n, classes)[None]
                birth, death = feedback.rates(
                    totals.sum(axis=1, keepdims=True), piece.room, piece.division, piece.loss
                )
                middle = (totals * np.exp((birth - death) * years / 2)).sum(axis=1, keepdims=True)
                birth, death = feedback.rates(middle, piece.room, piece.division, piece.loss)
                alpha, beta = kendall_parameters(birth, np.broadcast_to(death, birth.shape), years)
                _, n = transition(rng, n, alpha[0, kind], beta[0, kind])
        out[visit], now = n, stop
    return out
