"""Blood: what the marrow sends out, and what a laboratory sees of it."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from hsc_pipeline.blood.alleles import ALLELES
from hsc_pipeline.blood.count import count_blood, count_table
from hsc_pipeline.blood.laboratory import INTEGRATION_SITES, SAMPLES, Laboratory, meet_clones
from hsc_pipeline.blood.lineages import COUNTS, RECOVERY
from hsc_pipeline.blood.readouts import READOUTS, read_out
from hsc_pipeline.norms import Norms
from hsc_pipeline.product import genome_of
from hsc_pipeline.settings import Settings

__all__ = ["ALLELES", "COUNTS", "INTEGRATION_SITES", "READOUTS", "RECOVERY", "SAMPLES", "bleed_patients"]


def bleed_patients(
    patients: Sequence[Mapping],
    products: Mapping[int, Mapping],
    clones: Mapping[int, Mapping],
    sites: Mapping[int, Mapping],
    marrow: Mapping[int, Mapping],
    clone_sizes: Mapping[int, Mapping],
    events: Mapping[int, Mapping],
    settings: Settings,
) -> Iterator[dict[str, pa.Table]]:
    """Draw each patient's blood at every visit, and the laboratory's reading of it.

    Parameters
    ----------
    patients : sequence of mapping
        Rows of `plan.PATIENTS`.
    products : mapping of int to mapping
        Rows of `product.PRODUCTS` by patient.
    clones, sites, marrow, clone_sizes, events : mapping of int to mapping of str to array
        Columns of `product.CLONES`, `product.SITES`, `engraftment.MARROW`, `engraftment.CLONE_SIZES` and
        `plan.EVENTS` by patient.
    settings : Settings
        Of the stage ``blood``.

    Yields
    ------
    dict of str to pyarrow.Table
        One patient's `COUNTS`, `RECOVERY`, `READOUTS`, `SAMPLES`, `INTEGRATION_SITES` and `ALLELES`.
    """
    norms = Norms(settings.rows("cell_norms"))
    laboratory = Laboratory(settings, genome_of(settings))
    for patient in patients:
        number = patient["patient"]
        product = products[number]
        blood, recovery = count_blood(patient, product, marrow[number], norms, settings, events[number])
        met = meet_clones(
            patient, product, blood, clones[number], clone_sizes[number], sites[number], settings
        )
        yield {
            "counts": count_table(patient, blood, settings),
            "recovery": recovery,
            "readouts": read_out(patient, blood, norms, settings),
            **laboratory.read(patient, product, blood, met),
        }
