"""Assess the immune systems of one batch of patients."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0], pandas=False)

from hsc_pipeline.blood import COUNTS
from hsc_pipeline.engraftment import CLONE_SIZES, MARROW
from hsc_pipeline.immunity import assess_patients
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, PRODUCTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import read_turns, write_together

TABLES = (PATIENTS, PRODUCTS, CLONES, MARROW, CLONE_SIZES, COUNTS, EVENTS)
batch, settings = snakemake.params.patients, Settings(**snakemake.params.settings)


def parts():
    """Tables of one patient after the other."""
    for read in read_turns(TABLES, dict(snakemake.input.items()), batch):
        patients = read.pop("patients").to_pylist()
        yield from assess_patients(patients, read, settings)


write_together(dict(snakemake.output.items()), progress(parts(), batch[1] - batch[0] + 1, "immune systems"))
