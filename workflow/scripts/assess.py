"""Assess the immune systems of one batch of patients."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0])

from hsc_pipeline.blood import COUNTS
from hsc_pipeline.engraftment import CLONE_SIZES, MARROW
from hsc_pipeline.immunity import assess_patients
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, PRODUCTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import turns, write_together

batch, files = snakemake.params.patients, dict(snakemake.input.items())
settings, people = Settings(**snakemake.params.settings), files.pop("patients")
schemas = {table.name: table for table in (PRODUCTS, CLONES, MARROW, CLONE_SIZES, COUNTS, EVENTS)}


def parts():
    """Tables of one patient after the other."""
    for turn in turns(batch):
        tables = {name: schemas[name].read(path, turn) for name, path in files.items()}
        yield from assess_patients(PATIENTS.read(people, turn).to_pylist(), tables, settings)


write_together(dict(snakemake.output.items()), progress(parts(), batch[1] - batch[0] + 1, "immune systems"))
