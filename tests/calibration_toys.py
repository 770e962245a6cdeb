"""Simulators with a known posterior."""

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.exact import birth_death_log_likelihood, grid_posterior
from hsc_pipeline.calibration.priors import Prior, sample
from hsc_pipeline.dynamics.rates import kendall_parameters, transition

# Linear: four statistics follow two parameters, two are noise, and one parameter moves none.
GAUSSIAN = {
    "a": Prior("normal", median=1, spread=2),
    "b": Prior("normal", median=0, spread=1),
    "idle": Prior("log_uniform", least=1, most=1000),
}
SLOPES = np.array([[1, 1], [1, 0.6], [0.8, 1], [0.3, 0.2]])
FOLLOWING = list("uvwx")

# Birth-death: the total of founders that divide at an unknown rate.
DIVISION = {"division": Prior("log_uniform", least=0.1, most=2)}
FOUNDERS, LOSS, YEARS = 12, 0.3, 2.0


def gaussian(theta: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    following = theta[["a", "b"]].to_numpy() @ SLOPES.T + rng.standard_normal((len(theta), len(SLOPES)))
    noise = rng.standard_normal((len(theta), 2))
    return pd.DataFrame(np.hstack([following, noise]), columns=[*FOLLOWING, "y", "z"])


def gaussian_posterior(stats: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Means, shape (rows, 2), and the covariance that all share."""
    before = np.diag([1 / 4, 1])
    covariance = np.linalg.inv(before + SLOPES.T @ SLOPES)
    return (stats[FOLLOWING].to_numpy() @ SLOPES + before @ [1, 0]) @ covariance, covariance


def gaussian_table(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    theta = sample(GAUSSIAN, n, seed)
    return theta, gaussian(theta, seed + 1000)


def births(theta: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    division = theta["division"].to_numpy()
    alpha, beta = kendall_parameters(division, np.full_like(division, LOSS), YEARS)
    _, total = transition(rng, np.full(len(theta), FOUNDERS), alpha, beta)
    return pd.DataFrame({"total": total.astype(float), "noise": rng.standard_normal(len(theta))})


def births_table(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    theta = sample(DIVISION, n, seed)
    return theta, births(theta, seed + 1000)


def births_posterior(total: int) -> pd.DataFrame:
    """The exact posterior on a grid of 400 rates."""
    grid = np.geomspace(0.1, 2, 400)
    return grid_posterior(
        birth_death_log_likelihood(total, FOUNDERS, grid, LOSS, YEARS), grid, DIVISION["division"]
    )
