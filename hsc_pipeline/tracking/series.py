"""Tables of a tracking run: read together, and taken apart into series of samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hsc_pipeline import formats
from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats import Observations


@dataclass(frozen=True)
class Series:
    """Clones of one subject, tissue and lineage over months.

    Attributes
    ----------
    subject, tissue, lineage : str
    months : array of float, shape (visits,)
    clones : array of str, shape (clones,)
    counts : array of float, shape (clones, visits)
        Replicates of a month are added.
    """

    subject: str
    tissue: str
    lineage: str
    months: np.ndarray
    clones: np.ndarray
    counts: np.ndarray

    @property
    def owner(self) -> dict[str, str]:
        """Whose it is, as columns of a table."""
        return {"subject": self.subject, "tissue": self.tissue, "lineage": self.lineage}

    def since(self, month: float) -> "Series":
        """Return the samples from a month on, and the clones in them."""
        return self.at(np.flatnonzero(self.months >= month))

    def at(self, visits: np.ndarray) -> "Series":
        """Return some of the samples, by their places, and the clones in them."""
        seen = self.counts[:, visits].any(axis=1)
        return Series(
            self.subject,
            self.tissue,
            self.lineage,
            self.months[visits],
            self.clones[seen],
            self.counts[seen][:, visits],
        )


def read_tables(settings: Mapping) -> tuple[Observations, dict]:
    """Read the tables of a tracking file as one, with its sites as the file wants them.

    Parameters
    ----------
    settings : mapping
        The filled `settings.TrackingFile`: ``tables``, ``sites`` and ``stem_cells``.

    Returns
    -------
    observations : Observations
    found : dict of str to pandas.DataFrame
        What `cleaning.clean` found.

    Raises
    ------
    UserError
        Of a reader; for mixed assays; for copies of a subject that is in no table.
    """
    from hsc_pipeline.tracking.cleaning import clean

    return clean(read_together(settings), **settings["sites"])


def read_together(settings: Mapping) -> Observations:
    """Read the tables of a tracking file as one; see `read_tables`."""
    read = [formats.read(**{**table, "lineages": table["lineages"] or None}) for table in settings["tables"]]
    observations = formats.combine(*read)
    subjects = sorted(set(observations.samples["subject"].to_pylist()))
    for name in settings["stem_cells"]["copies_by_subject"]:
        if name not in subjects:
            raise UserError(
                f"stem_cells.copies_by_subject: {name!r} is in no table; {suggest(name, subjects)}"
            )
    return observations


def frame(observations: Observations):
    """Return clones as a data frame of categories, without rows that have no month."""
    names = ["subject", "tissue", "lineage", "month", "clone", "count"]
    table = observations.clones.select(names)
    return table.to_pandas().dropna(subset="month")


def all_series(rows) -> Iterator[Series]:
    """Yield the series of a `frame`, in order of subject, tissue and lineage."""
    for (subject, tissue, lineage), own in rows.groupby(["subject", "tissue", "lineage"], observed=True):
        months, visit = np.unique(own["month"].to_numpy(), return_inverse=True)
        codes, clone = np.unique(own["clone"].cat.codes.to_numpy(), return_inverse=True)
        counts = np.zeros((len(codes), len(months)))
        np.add.at(counts, (clone, visit), own["count"].to_numpy())
        clones = own["clone"].cat.categories.to_numpy()[codes]
        yield Series(str(subject), str(tissue), str(lineage), months, clones, counts)


def whole(counts: np.ndarray) -> np.ndarray:
    """Return counts as whole numbers: estimates rounded, and at least one where there is any."""
    return np.where(counts > 0, np.maximum(np.rint(counts), 1), 0).astype(np.int64)


def table_of(rows) -> pa.Table:
    """Return a data frame as a table without what pandas adds."""
    return pa.Table.from_pandas(rows.reset_index(drop=True), preserve_index=False).replace_schema_metadata(
        None
    )


def write_observations(observations: Observations, clones: str, samples: str, assay: str) -> None:
    """Write observations as two tables and the name of the assay."""
    from hsc_pipeline.tables import replacing, write

    write(clones, observations.clones)
    write(samples, observations.samples)
    with replacing(assay) as aside:
        aside.write_text(f"{observations.assay}\n", encoding="utf-8")


def read_observations(clones: str, samples: str, assay: str) -> Observations:
    """Read what `write_observations` wrote."""
    from pathlib import Path

    return Observations(
        formats.CLONES.read(clones), formats.SAMPLES.read(samples), Path(assay).read_text("utf-8").strip()
    )
