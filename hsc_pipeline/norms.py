"""Reference intervals of blood cells by age."""

from collections.abc import Sequence

import numpy as np

CENTILES_10_TO_90 = 2.5631  # standard deviations between the 10th and the 90th centile of a normal law


class Norms:
    """Log-normal norms of a cell's count, smooth in age.

    The intervals are given for bands of age; between the middles of bands, the logarithms of the
    median and of the spread are interpolated, so that nobody's score jumps on a birthday.

    Parameters
    ----------
    rows : sequence of (cell, age_from_years, age_to_years, median, p10, p90)
        The catalogue table ``cell_norms``, counts per microlitre.
    """

    def __init__(self, rows: Sequence[tuple]):
        self._bands: dict[str, np.ndarray] = {}
        for cell in dict.fromkeys(row[0] for row in rows):
            self._bands[cell] = np.array([self._band(row) for row in rows if row[0] == cell])

    @staticmethod
    def _band(row: tuple) -> tuple[float, float, float]:
        _, start, stop, median, p10, p90 = row
        # The adult band is flat from its beginning on; its middle would lie at old age.
        middle = start if stop >= 100 else (start + stop) / 2
        return middle, np.log(median), np.log(p90 / p10) / CENTILES_10_TO_90

    def median(self, cell: str, age_years: np.ndarray | float) -> np.ndarray:
        """Return the median count per microlitre."""
        middle, ln_median, _ = self._bands[cell].T
        return np.exp(np.interp(age_years, middle, ln_median))

    def ln_sd(self, cell: str, age_years: np.ndarray | float) -> np.ndarray:
        """Return the standard deviation of the logarithm of the count."""
        middle, _, ln_sd = self._bands[cell].T
        return np.interp(age_years, middle, ln_sd)

    def z_score(self, cell: str, count_per_ul: np.ndarray, age_years: np.ndarray) -> np.ndarray:
        """Return how many standard deviations a count lies from the norm for age; -inf for no cells."""
        with np.errstate(divide="ignore"):
            return (np.log(count_per_ul) - np.log(self.median(cell, age_years))) / self.ln_sd(cell, age_years)
