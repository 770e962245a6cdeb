"""Gene editing: two alleles a cell, correlated because a cell is editable or not.

A cell is editable with probability a; each of its two alleles then takes one of the outcomes
independently.  So the mean of an outcome over alleles is a e, and the share of cells with it on
both is a e^2: more than (a e)^2, as in colonies.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream

OUTCOMES = ("unedited", "intended", "indel", "large_deletion", "bystander")
DISRUPTING = ("intended", "indel", "large_deletion")
PAIRS = tuple(product(range(len(OUTCOMES)), repeat=2))
REARRANGEMENTS = ("off_target", "translocation")


@dataclass(frozen=True)
class Alleles:
    """Shares of cells by the outcomes of their two alleles.

    Attributes
    ----------
    share : array of float, shape (25,)
        Of each of `PAIRS`; sums to 1.
    """

    share: np.ndarray

    def mean(self, outcome: str) -> float:
        """Return the share of all alleles with an outcome."""
        number = np.array([pair.count(OUTCOMES.index(outcome)) for pair in PAIRS])
        return float(self.share @ number / 2)

    def survive(self, survival: float) -> tuple["Alleles", float]:
        """Weigh cells with an edited allele by their survival, and renormalise.

        Returns
        -------
        Alleles
        float
            Share of all cells that survive.
        """
        edited = np.array([pair != (0, 0) for pair in PAIRS])
        weight = self.share * np.where(edited, survival, 1.0)
        if not weight.sum():
            return self, 0.0
        return Alleles(weight / weight.sum()), float(weight.sum())


def pair_alleles(editable: float, outcomes: dict[str, float]) -> Alleles:
    """Return the shares of allele pairs.

    Parameters
    ----------
    editable : float
        Share of cells in which editing can happen, a.
    outcomes : dict of str to float
        Chance of each edited outcome of an allele in such a cell; the rest stays unedited.

    Raises
    ------
    ValueError
        If the outcomes add up to more than one.
    """
    chance = np.array([outcomes.get(name, 0.0) for name in OUTCOMES])
    chance[0] = 1 - chance[1:].sum()
    if chance[0] < -1e-9:
        raise ValueError(f"edit: outcomes of an allele add up to {1 - chance[0]:g}, more than 1")
    chance = np.maximum(chance, 0)
    share = editable * np.outer(chance, chance)
    share[0, 0] += 1 - editable
    return Alleles(share.ravel())


def bulk_alleles(seed: int, settings: Settings) -> Alleles:
    """Return one patient's product: the catalogue's outcomes with this product's own efficiency."""
    shift = settings["edit.logit_sd"] * stream(seed, "product.editing").standard_normal()
    edited = sum(median_chances(settings).values())
    return scaled_alleles(_shift_logit(edited, shift) / edited if edited > 0 else 0.0, settings)


def scaled_alleles(efficiency: float, settings: Settings) -> Alleles:
    """Return the catalogue's outcomes at an efficiency, 1 for the median product's."""
    chances = {name: chance * efficiency for name, chance in median_chances(settings).items()}
    return pair_alleles(settings["edit.editable_fraction"], chances)


def median_chances(settings: Settings) -> dict[str, float]:
    """Return the chance of each edited outcome of an allele, in an editable cell of the median product."""
    chances = {name: settings[f"edit.{name}"] for name in OUTCOMES[1:]}
    chances["large_deletion"] *= _of_template("deletion", settings)
    return chances


def survival_of(settings: Settings) -> float:
    """Return the survival of edited long-term stem cells against unedited ones; a template costs some."""
    return settings["edit.survival"] * _of_template("survival", settings)


def _of_template(what: str, settings: Settings) -> float:
    template = settings.values.get("edit.template")
    return 1.0 if template is None else settings[f"edit.template_{what}.{template}"]


def long_term_alleles(bulk: Alleles, settings: Settings) -> tuple[Alleles, float]:
    """Return the alleles of surviving long-term stem cells, and the share that survives.

    Fewer of them carry the intended edit than in bulk; what is lost becomes indels or stays unedited.
    """
    # A measured product may have more edited alleles than the catalogue has editable cells.
    editable = max(settings["edit.editable_fraction"], 1 - bulk.mean("unedited"))
    chance = {name: bulk.mean(name) / editable if editable > 0 else 0.0 for name in OUTCOMES[1:]}
    lost = chance["intended"] * (1 - min(settings["edit.lt_intended_ratio"], 1.0))
    chance["intended"] -= lost
    chance["indel"] += lost * settings["edit.lt_loss_to_indel"]
    return pair_alleles(editable, chance).survive(survival_of(settings))


def pair_function(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return of each of `PAIRS` whether it corrects the cell, and its function against a normal cell.

    Knocking out counts every disrupted allele, repair the intended ones (and, in part, those with
    a bystander edit).  One allele is enough for a recessive disease, both are needed for a dominant
    one or to remove a receptor, and each gives half where the dose counts.
    """
    worth = dict.fromkeys(OUTCOMES, 0.0)
    if settings["edit.goal"] == "knock_out":
        worth |= dict.fromkeys(DISRUPTING, 1.0)
    else:
        worth["intended"] = 1.0
    worth["bystander"] = settings["edit.bystander_function"]
    alleles = np.array([[worth[OUTCOMES[i]] for i in pair] for pair in PAIRS])
    share = {
        "one_allele": alleles.max(axis=1),
        "both_alleles": alleles.min(axis=1),
        "per_allele": alleles.mean(axis=1),
    }[settings["edit.correction"]]
    return share > 0, share * settings["expression.full"]


def counted_alleles(settings: Settings) -> np.ndarray:
    """Return how many alleles of each of `PAIRS` carry what the product is for, 0 to 2."""
    counted = DISRUPTING if settings["edit.goal"] == "knock_out" else ("intended",)
    return np.array([sum(OUTCOMES[i] in counted for i in pair) for pair in PAIRS])


def draw_pairs(rng: np.random.Generator, alleles: Alleles, cells: int) -> np.ndarray:
    """Draw the pair, an index into `PAIRS`, of each cell; one uniform number a cell."""
    ends = np.cumsum(alleles.share)
    return np.searchsorted(ends[:-1], rng.random(cells) * ends[-1], side="right")


def draw_rearrangements(rng: np.random.Generator, pair: np.ndarray, settings: Settings) -> pa.Array:
    """Draw the rare labelled states of edited cells: off-target edit or translocation, else empty."""
    chance = [settings[f"edit.{name}_per_cell"] for name in REARRANGEMENTS]
    found = np.searchsorted(np.cumsum(chance), rng.random(len(pair)), side="right")
    is_edited = pair != PAIRS.index((0, 0))
    names = pa.array([*REARRANGEMENTS, ""])
    return names.take(pa.array(np.where(is_edited, found, len(REARRANGEMENTS))))


def label(pair: int) -> str:
    """Return a pair in words, the edited allele first: ``intended/unedited``."""
    names = sorted((OUTCOMES[i] for i in PAIRS[pair]), key=lambda name: (name == "unedited", name))
    return "/".join(names)


LABELS = tuple(label(pair) for pair in range(len(PAIRS)))


def _shift_logit(probability: float, shift: float) -> float:
    if probability in (0.0, 1.0):
        return probability
    odds = probability / (1 - probability) * np.exp(shift)
    return float(odds / (1 + odds))
