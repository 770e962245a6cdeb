"""Sequencing of an amplicon over the edited locus: alleles of a sample, and reads of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.clones import BRANCH_OF
from hsc_pipeline.blood.lineages import BRANCHES, PARTS
from hsc_pipeline.product import editing
from hsc_pipeline.product.measured import Measured
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import Column, Table

ALLELES = Table(
    "alleles",
    ("patient", "month", "lineage", "allele"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "lineage": Column(pa.string(), "", "sorted cells"),
        "allele": Column(pa.string(), "", "unedited, intended, indel, large_deletion or bystander"),
        "share": Column(pa.float64(), "", "of all alleles in the tube; true", 0, 1),
        "reads": Column(pa.int64(), "reads", "of the amplicon; a large deletion gives none", 0),
        "fraction": Column(pa.float64(), "", "of the reads", 0, 1),
    },
)

# How many alleles of each outcome a pair has, shape (pairs, outcomes).
IN_PAIR = np.array([[pair.count(i) for i in range(len(editing.OUTCOMES))] for pair in editing.PAIRS])
VISIBLE = np.array([name != "large_deletion" for name in editing.OUTCOMES])
UNEDITED = np.array([name == "unedited" for name in editing.OUTCOMES], float)


@dataclass(frozen=True)
class Amplicons:
    """What an arm's editing makes of alleles."""

    settings: Settings
    measured: Measured
    corrects: np.ndarray

    @classmethod
    def of(cls, settings: Settings, measured: Measured) -> "Amplicons | None":
        """Return the amplicons of an arm, or None if its product is not edited."""
        if "edit.goal" not in settings.values:
            return None
        return cls(settings, measured, editing.pair_function(settings)[0])

    def of_patient(self, seed: int, edit: np.ndarray) -> "PatientAlleles":
        """Return one patient's alleles: of each named clone, and of cells without a name by class."""
        bulk = self.measured.bulk_alleles(self.settings) or editing.bulk_alleles(seed, self.settings)
        long_term, _ = editing.long_term_alleles(bulk, self.settings)
        by_label = {editing.label(i): row for i, row in enumerate(IN_PAIR)}
        coded = pa.array(edit, pa.string()).dictionary_encode()
        of_label = np.array([by_label[name] for name in coded.dictionary.to_pylist()]).reshape(
            -1, len(UNEDITED)
        )
        return PatientAlleles(
            of_clone=of_label[coded.indices.to_numpy()] / 2,
            early=mean_alleles(bulk.share * self.corrects),
            uncorrected_early=mean_alleles(bulk.share * ~self.corrects),
            uncorrected_stem=mean_alleles(long_term.share * ~self.corrects),
        )


def mean_alleles(pairs: np.ndarray) -> np.ndarray:
    """Return the share of each outcome among the alleles of pairs; unedited if there are none."""
    return pairs @ IN_PAIR / (2 * pairs.sum()) if pairs.sum() > 0 else UNEDITED


@dataclass(frozen=True)
class PatientAlleles:
    """Shares of outcomes among alleles.

    Attributes
    ----------
    of_clone : array of float, shape (clones, outcomes)
    early, uncorrected_early, uncorrected_stem : array of float, shape (outcomes,)
        Of corrected short-term progenitors, and of infused cells that are not corrected.
    """

    of_clone: np.ndarray
    early: np.ndarray
    uncorrected_early: np.ndarray
    uncorrected_stem: np.ndarray

    def share(self, parts: Mapping[str, np.ndarray], weights: np.ndarray) -> np.ndarray:
        """Return the true share of each outcome among the alleles of a tube.

        Parameters
        ----------
        parts : mapping of str to array of float, shape (8,)
            `lineages.PARTS` per cell of the tube, by pool.
        weights : array of float, shape (branches, clones)
        """
        of = {name: sum(part[i] for part in parts.values()) for i, name in enumerate(PARTS)}
        index = {branch: i for i, branch in enumerate(BRANCHES)}
        by_branch = np.zeros(len(BRANCHES))
        for pool, part in parts.items():
            by_branch[index[BRANCH_OF[pool]]] += part[PARTS.index("stem")]
        share = (by_branch @ weights) @ self.of_clone
        share = share + (of["early"] + of["thymic"]) * self.early
        share = share + of["uncorrected_early"] * self.uncorrected_early
        share = share + of["uncorrected_stem"] * self.uncorrected_stem
        # The rest are the host's.
        return share + max(0.0, 1 - share.sum()) * UNEDITED

    def read(
        self, rng: np.random.Generator, tube: Any, weights: np.ndarray, settings: Settings
    ) -> dict[str, np.ndarray]:
        """Sequence the amplicon: alleles of the DNA that amplify, then reads of these.

        Parameters
        ----------
        rng : numpy.random.Generator
        tube : laboratory.Tube
        weights : array of float, shape (branches, clones)
        settings : Settings
        """
        share = np.minimum(self.share(tube.parts, weights), 1.0)
        seen = share * VISIBLE
        error = settings["lab.amplicon_error"]
        miscalled = error * seen[editing.OUTCOMES.index("unedited")]
        seen = seen / seen.sum() if seen.sum() > 0 else UNEDITED
        alleles = rng.multinomial(int(2 * tube.genomes * settings["lab.amplifiable"]), seen)
        drawn = alleles / alleles.sum() if alleles.sum() else np.zeros(len(UNEDITED))
        # A few unedited reads look like indels.
        shift = np.zeros(len(UNEDITED))
        shift[editing.OUTCOMES.index("indel")] = min(miscalled, drawn[0])
        shift[0] -= shift.sum()
        reads = np.zeros(len(UNEDITED), np.int64)
        if alleles.sum():
            reads = rng.multinomial(int(settings["lab.amplicon_reads"]), np.maximum(drawn + shift, 0))
        return {
            "allele": np.array(editing.OUTCOMES, object),
            "share": share,
            "reads": reads,
            "fraction": reads / max(reads.sum(), 1),
        }
