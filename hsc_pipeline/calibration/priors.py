"""Priors of parameters: their laws, their bounds, and draws that fill them evenly."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from hsc_pipeline.errors import UserError

Kind = Literal["uniform", "log_uniform", "normal", "log_normal"]

LEAST_CHANCE = 1e-9  # of a bounded normal's mass, below which its bounds leave nothing to draw
FARTHEST = 8.0  # standard deviations to which a score is followed: beyond, a double holds no cdf below 1


@dataclass(frozen=True)
class Prior:
    """The law of one parameter before the data.

    Attributes
    ----------
    kind : {"uniform", "log_uniform", "normal", "log_normal"}
        A normal law may be bounded on either side; it keeps its shape within.
    least, most : float, optional
        Bounds; a uniform law needs both, a logarithmic one bounds above zero.
    median, spread : float, optional
        Of a normal law before its bounds: `spread` is the standard deviation, of a log-normal one that
        of the natural logarithm.

    Raises
    ------
    UserError
        If the numbers do not make a law of this kind.
    """

    kind: Kind
    least: float | None = None
    most: float | None = None
    median: float | None = None
    spread: float | None = None

    def __post_init__(self):
        fault = self._fault()
        if fault:
            raise UserError(f"prior {self.kind!r}: {fault}")

    @property
    def logarithmic(self) -> bool:
        """Whether the law is one of the logarithm."""
        return self.kind.startswith("log")

    @property
    def normal(self) -> bool:
        """Whether the law is normal, of the value or of its logarithm."""
        return self.kind.endswith("normal")

    def quantile(self, u: np.ndarray | float) -> np.ndarray:
        """Return the values below which the share `u` of the prior lies, never outside its bounds."""
        u = np.asarray(u, float)
        low, high = self._bounds()
        value = self._law().ppf(u) if self.normal else low + (high - low) * u
        value = np.exp(value) if self.logarithmic else value
        return np.clip(value, self._floor, np.inf if self.most is None else self.most)

    def cdf(self, x: np.ndarray | float) -> np.ndarray:
        """Return the share of the prior at or below `x`."""
        at = self._scale(x)
        if self.normal:
            return self._law().cdf(at)
        low, high = self._bounds()
        return np.clip((at - low) / (high - low), 0, 1)

    def log_density(self, x: np.ndarray | float) -> np.ndarray:
        """Return the natural logarithm of the density of the value itself; minus infinity outside."""
        at = self._scale(x)
        possible = np.isfinite(at)
        at = np.where(possible, at, 0)
        low, high = self._bounds()
        if self.normal:
            density = self._law().logpdf(at)
        else:
            density = np.where((at >= low) & (at <= high), -np.log(high - low), -np.inf)
        return np.where(possible, density - at if self.logarithmic else density, -np.inf)

    def score(self, x: np.ndarray | float) -> np.ndarray:
        """Return the probit of the cdf: under the prior a standard normal variable."""
        from scipy.special import ndtri

        return np.clip(ndtri(self.cdf(x)), -FARTHEST, FARTHEST)

    def at_score(self, z: np.ndarray | float) -> np.ndarray:
        """Return the values with these scores: the inverse of `score`."""
        from scipy.special import ndtr

        return self.quantile(ndtr(np.asarray(z, float)))

    def narrowed(self, least: float, most: float) -> "Prior":
        """Return the same law within these bounds, where they are narrower than its own."""
        low = least if self.least is None else max(least, self.least)
        high = most if self.most is None else min(most, self.most)
        return replace(self, least=float(low), most=float(high))

    @property
    def _floor(self) -> float:
        if self.least is not None:
            return self.least
        return 0.0 if self.logarithmic else -np.inf

    def _scale(self, x: np.ndarray | float) -> np.ndarray:
        x = np.asarray(x, float)
        if not self.logarithmic:
            return x
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(x, 0))

    def _bounds(self) -> tuple[float, float]:
        low = -np.inf if self.least is None else float(self._scale(self.least))
        return low, np.inf if self.most is None else float(self._scale(self.most))

    def _law(self):
        from scipy.stats import truncnorm

        centre = float(self._scale(self.median))
        a, b = ((bound - centre) / self.spread for bound in self._bounds())
        return truncnorm(a, b, loc=centre, scale=self.spread)

    def _fault(self) -> str | None:
        if self.kind not in get_args(Kind):
            return f"no such law; allowed: {', '.join(get_args(Kind))}"
        needed = ("median", "spread") if self.normal else ("least", "most")
        lacking = [name for name in needed if getattr(self, name) is None]
        if lacking:
            return f"needs {' and '.join(lacking)}"
        return self._fault_of_numbers() or (self._fault_of_normal() if self.normal else None)

    def _fault_of_numbers(self) -> str | None:
        given = {name: getattr(self, name) for name in ("least", "most", "median", "spread")}
        given = {name: value for name, value in given.items() if value is not None}
        if not self.normal and (extra := [name for name in ("median", "spread") if name in given]):
            return f"{' and '.join(extra)} belong to a normal law; allowed here: least, most"
        for name, value in given.items():
            if not np.isfinite(value):
                return f"{name} {value}; allowed: a finite number"
            if self.logarithmic and name != "spread" and value <= 0:
                return f"{name} {value:g}; allowed on a logarithmic scale: above 0"
        if "least" in given and "most" in given and self.least >= self.most:
            return f"least {self.least:g} is not below most {self.most:g}"
        return None

    def _fault_of_normal(self) -> str | None:
        from scipy.special import log_ndtr, logsumexp

        if self.spread <= 0:
            return f"spread {self.spread:g}; allowed: above 0"
        centre = float(self._scale(self.median))
        a, b = ((bound - centre) / self.spread for bound in self._bounds())
        a, b = (-b, -a) if a > 0 else (a, b)
        mass = logsumexp([log_ndtr(b), log_ndtr(a)], b=[1, -1])
        if mass < np.log(LEAST_CHANCE):
            return (
                f"from {self.least} to {self.most} lies less than {LEAST_CHANCE:g} of a law with median "
                f"{self.median:g} and spread {self.spread:g}; allowed: bounds where the law has mass"
            )
        return None


def sample(priors: Mapping[str, Prior], n: int, seed: int) -> pd.DataFrame:
    """Draw parameters independently from their priors by a Latin hypercube.

    Parameters
    ----------
    priors : mapping of str to Prior
        By name of the parameter.
    n : int
        Draws; each n-th of every prior's mass holds one.
    seed : int

    Returns
    -------
    pandas.DataFrame, shape (n, parameters)
        In the order of `priors`.
    """
    from scipy.stats import qmc

    u = qmc.LatinHypercube(len(priors), rng=np.random.default_rng(seed)).random(n)
    return pd.DataFrame({name: prior.quantile(u[:, i]) for i, (name, prior) in enumerate(priors.items())})


def scores(theta: pd.DataFrame, priors: Mapping[str, Prior]) -> np.ndarray:
    """Return parameters as scores of their priors, shape (rows, parameters), in the order of `priors`."""
    return np.column_stack([prior.score(theta[name].to_numpy(float)) for name, prior in priors.items()])


def at_scores(z: np.ndarray, priors: Mapping[str, Prior]) -> pd.DataFrame:
    """Return parameters from scores of their priors; the inverse of `scores`."""
    return pd.DataFrame({name: prior.at_score(z[:, i]) for i, (name, prior) in enumerate(priors.items())})
