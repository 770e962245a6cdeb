"""What a marrow holds: pools of cells that are alike, and clones that are followed by name."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

HOST, UNCORRECTED, CORRECTED = 0, 1, 2
ORIGINS = ("host", "uncorrected", "corrected")
POOL = -1  # in place of the number of a clone or of a driver


@dataclass(frozen=True)
class Cells:
    """Entries of a marrow, as parallel arrays.

    Attributes
    ----------
    origin : array of int
        `HOST`, `UNCORRECTED` or `CORRECTED`.
    clone, driver : array of int
        Numbers in `product.CLONES` and `product.DRIVERS`, else `POOL`.
    insertional : array of bool
        Whether an insertion deregulates an oncogene.
    advantage : array of float
        Per year, that of correction included.
    """

    origin: np.ndarray
    clone: np.ndarray
    driver: np.ndarray
    insertional: np.ndarray
    advantage: np.ndarray

    @property
    def mutated(self) -> np.ndarray:
        """Whether the cells carry a driver or a deregulated oncogene."""
        return self.insertional | (self.driver != POOL)

    def __len__(self) -> int:
        return len(self.origin)

    def take(self, index: np.ndarray) -> "Cells":
        """Return some of the entries."""
        return Cells(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @staticmethod
    def join(parts: list["Cells"]) -> "Cells":
        """Return the entries of all parts in order."""
        names = Cells.__dataclass_fields__
        return Cells(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def pools(origin: int, advantage: np.ndarray, driver: np.ndarray) -> Cells:
    """Return entries of one origin without a clone of their own."""
    n = len(advantage)
    return Cells(
        np.full(n, origin),
        np.full(n, POOL),
        np.asarray(driver, int),
        np.zeros(n, bool),
        np.asarray(advantage),
    )


def host_cells(drivers: Mapping[str, np.ndarray]) -> Cells:
    """Return the host's pool, then its driver clones; rows of `product.DRIVERS` of the patient's marrow."""
    mine = np.asarray(drivers["origin"]) == "patient"
    return pools(
        HOST,
        np.append(0.0, drivers["advantage_per_year"][mine]),
        np.append(POOL, drivers["driver"][mine]),
    )


def host_shares(drivers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the share of the host's marrow of each entry of `host_cells`."""
    share = drivers["share"][np.asarray(drivers["origin"]) == "patient"]
    return np.append(max(1 - share.sum(), 0.0), share)


def product_cells(clones: Mapping[str, np.ndarray], corrected_advantage: float) -> Cells:
    """Return the clones of the product that have a number, in their order."""
    corrected = np.asarray(clones["corrected"], bool)
    return Cells(
        np.where(corrected, CORRECTED, UNCORRECTED),
        np.asarray(clones["clone"], int),
        np.asarray(clones["driver"], int),
        np.asarray(clones["insertional"], bool),
        clones["advantage_per_year"] + np.where(corrected, corrected_advantage, 0.0),
    )
