"""The measures of every sample of one file, as one table."""

from pathlib import Path

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.tracking.indices import diversity_by_sample


def sample_metrics(observations):
    """Return the diversity of every sample.

    Parameters
    ----------
    observations : hsc_pipeline.formats.Observations

    Returns
    -------
    pandas.DataFrame
        ``subject, month, tissue, lineage, sample, assay, total`` and a column per index of
        `indices.INDICES`, by subject, month and sample; a sample without a clone has richness 0.
    """
    samples = observations.samples.select(["subject", "month", "tissue", "lineage", "sample"]).to_pandas()
    number, counts = sample_numbers(observations)
    table = samples.assign(assay=observations.assay, total=np.bincount(number, counts, len(samples)))
    indices = diversity_by_sample(number, counts, len(samples))
    return table.assign(**indices).sort_values(["subject", "month", "sample"]).reset_index(drop=True)


def sample_numbers(observations) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of its sample, in the order of the table of samples, and the count, of each row."""
    import pyarrow.compute as pc

    clones = observations.clones.select(["sample", "count"])
    names = observations.samples["sample"].combine_chunks()
    column = clones["sample"].unify_dictionaries().combine_chunks()
    place = pc.index_in(column.dictionary, names).to_numpy(zero_copy_only=False)
    return place[column.indices.to_numpy()].astype(np.int64), clones["count"].to_numpy()


def write_metrics(path: str, out: str, format: str | None = None) -> int:
    """Read a file of clones and write the measures of its samples as CSV; return how many there are.

    Raises
    ------
    UserError
        If the folder of the result does not exist, and whatever `formats.read` refuses.
    """
    import pyarrow as pa

    from hsc_pipeline import formats
    from hsc_pipeline.tables import write_csv

    target = Path(out)
    if not target.parent.is_dir():
        raise UserError(
            f"--out {out}: there is no folder {target.parent}; allowed: a file in an existing one"
        )
    if target.is_dir():
        raise UserError(f"--out {out}: this is a folder; allowed: a file, such as metrics.csv")
    table = sample_metrics(formats.read(path, format))
    write_csv(target, pa.Table.from_pandas(table, preserve_index=False))
    return len(table)
