"""What the topics of a tracking run read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hsc_pipeline.formats import Observations
from hsc_pipeline.tracking.series import Series, all_series, frame

LINEAGES = ("Myeloid", "B", "T", "NK")  # that share no cell; progenitors and whole blood hold several
FEWEST = 50  # counts of a sample below which it says next to nothing
MOST_CLONES = 30  # of a subject that are looked at one by one
OWNER = ("subject", "tissue", "lineage")


@dataclass(frozen=True)
class Run:
    """Observations, and what the tracking file says of them.

    Attributes
    ----------
    observations : Observations
    settings : mapping
        What `settings.Tracking.settings` gives of the topic, or more.
    """

    observations: Observations
    settings: Mapping

    @cached_property
    def rows(self):
        """Clones with a month, as a data frame."""
        return frame(self.observations)

    @cached_property
    def series(self) -> list[Series]:
        """All series."""
        return list(all_series(self.rows))

    @property
    def whole_counts(self) -> bool:
        """Whether counts stand for cells, so that sampling theory holds; reads do not."""
        return self.observations.assay not in ("reads", "unstated")

    @property
    def has_sites(self) -> bool:
        """Whether clones have positions."""
        return self.observations.clones["position"].null_count < self.observations.clones.num_rows

    def marrow(self) -> Iterable[Series]:
        """Yield the series that tell of stem cells, from the month on from which they are stable."""
        wanted = self.settings["stem_cells"]
        for one in self.series:
            if (one.lineage, one.tissue) == (wanted["lineage"], wanted["tissue"]):
                late = one.since(wanted["from_month"])
                if late.counts.size:
                    yield late

    def copies(self, subject: str) -> float:
        """Return the insertions of a corrected cell of a subject."""
        wanted = self.settings["stem_cells"]
        return wanted["copies_by_subject"].get(subject, wanted["copies_per_cell"])

    def marked(self, seen: int) -> float:
        """Return the marked stem cells of the marrow, no fewer than the clones seen."""
        return max(self.settings["stem_cells"]["marked"], float(seen))


def deep_enough(series: Series) -> np.ndarray:
    """Return the places of samples with counts enough to say something."""
    return np.flatnonzero(series.counts.sum(axis=0) >= FEWEST) if series.counts.size else np.zeros(0, int)
