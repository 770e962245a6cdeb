"""Blood: what the marrow sends out, and what a laboratory sees of it."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from hsc_pipeline.blood.laboratory import INTEGRATION_SITES, read_integration_sites
from hsc_pipeline.blood.lineages import COUNTS, RECOVERY, count_blood
from hsc_pipeline.settings import Settings

__all__ = ["COUNTS", "INTEGRATION_SITES", "RECOVERY", "bleed_patients"]


def bleed_patients(
    patients: Sequence[Mapping],
    products: Mapping[int, Mapping],
    marrow: Mapping[int, Mapping],
    clone_sizes: Mapping[int, Mapping],
    sites: Mapping[int, Mapping],
    settings: Settings,
) -> Iterator[dict[str, pa.Table]]:
    """Draw each patient's blood at every visit, and the laboratory's reading of it.

    Parameters
    ----------
    patients : sequence of mapping
        Rows of `plan.PATIENTS`.
    products : mapping of int to mapping
        Rows of `product.PRODUCTS` by patient.
    marrow, clone_sizes, sites : mapping of int to mapping of str to array
        Columns of `engraftment.MARROW`, `engraftment.CLONE_SIZES` and `product.SITES` by patient.
    settings : Settings
        Of the stage ``blood``.

    Yields
    ------
    dict of str to pyarrow.Table
        One patient's `COUNTS`, `RECOVERY` and `INTEGRATION_SITES`.
    """
    for patient in patients:
        number = patient["patient"]
        counts, recovery = count_blood(patient, products[number], marrow[number], settings)
        yield {
            "counts": counts,
            "recovery": recovery,
            "integration_sites": read_integration_sites(
                patient, counts, clone_sizes[number], sites[number], settings
            ),
        }
