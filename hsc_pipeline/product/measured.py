"""A product's own release data in place of the model's draw."""

import numpy as np

from hsc_pipeline.product.editing import OUTCOMES, Alleles, pair_alleles
from hsc_pipeline.product.genome import Genome
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream

NO_SITES = {
    **dict.fromkeys(("chromosome", "strand", "gene", "gene_class"), np.zeros(0, dtype=object)),
    "position": np.zeros(0, np.int64),
    **dict.fromkeys(("in_gene", "near_tss", "near_cpg"), np.zeros(0, bool)),
}


class Measured:
    """What the study file's release data say; None where the model draws.

    Parameters
    ----------
    settings : Settings
        Its ``product_data`` has, where given, ``copies``: (copies, colonies) rows; ``alleles``: share of
        alleles by outcome; ``sites``: (chromosome, position, strand, gene, weight) rows.

    Attributes
    ----------
    copies : array of float, optional
        Share of colonies with 0, 1, ... copies.
    """

    def __init__(self, settings: Settings):
        data = settings.study.get("product_data") or {}
        self.copies = None
        if "copies" in data:
            copies, colonies = np.array(data["copies"]).T
            self.copies = np.bincount(copies, colonies) / colonies.sum()
        self._alleles = data.get("alleles")
        self._sites = None
        if "sites" in data:
            columns = zip(*data["sites"], strict=True)
            names = ("chromosome", "position", "strand", "gene", "weight")
            self._sites = {
                name: np.array(c, dtype=object if name in ("chromosome", "strand", "gene") else None)
                for name, c in zip(names, columns, strict=True)
            }
            self._classes = {row[0]: row[1] for row in settings.rows("genes")}

    def draw_copies(self, rng: np.random.Generator, cells: int) -> np.ndarray:
        """Draw copies of cells like the colonies'; one uniform number a cell."""
        return np.searchsorted(np.cumsum(self.copies), rng.random(cells), side="right").clip(
            max=len(self.copies) - 1
        )

    def bulk_alleles(self, settings: Settings) -> Alleles | None:
        """Return the measured alleles, paired as in a cell, or None.

        A long amplicon-free deletion shows in no allele table: its share stays the catalogue's.
        """
        if self._alleles is None:
            return None
        share = dict(self._alleles)
        edited = sum(share.get(name, 0.0) for name in OUTCOMES[1:])
        editable = max(settings["edit.editable_fraction"], edited)
        hidden = settings["edit.large_deletion"] * (edited > 0)
        chance = {name: share.get(name, 0.0) / editable * (1 - hidden) for name in OUTCOMES[1:]}
        return pair_alleles(editable, chance | {"large_deletion": hidden * min(1.0, edited / editable)})

    def draw_sites(self, seed: int, insertions: int, genome: Genome | None) -> dict[str, np.ndarray]:
        """Draw insertion sites, from the measured ones or the genome."""
        if not insertions:
            return NO_SITES
        rng = stream(seed, "product.sites")
        if self._sites is None:
            return genome.draw_sites(rng, insertions)
        weight = self._sites["weight"].astype(float)
        index = np.searchsorted(np.cumsum(weight) / weight.sum(), rng.random(insertions), side="right")
        index = index.clip(max=len(weight) - 1)
        sites = {name: self._sites[name][index] for name in ("chromosome", "position", "strand", "gene")}
        features = genome.draw_sites(rng, insertions)
        classes = np.array([self._classes.get(gene, "") for gene in sites["gene"]], dtype=object)
        return {**features, **sites, "gene_class": classes}
