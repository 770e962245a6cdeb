"""Assess the immune systems of one batch of patients."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0])

from hsc_pipeline.blood import COUNTS
from hsc_pipeline.engraftment import CLONE_SIZES, MARROW
from hsc_pipeline.immunity import assess_patients
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, PRODUCTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import write_together

batch, files = snakemake.params.patients, dict(snakemake.input.items())
patients = PATIENTS.read(files.pop("patients"), batch).to_pylist()
schemas = {table.name: table for table in (PRODUCTS, CLONES, MARROW, CLONE_SIZES, COUNTS, EVENTS)}
tables = {name: schemas[name].read(path, batch) for name, path in files.items()}
parts = assess_patients(patients, tables, Settings(**snakemake.params.settings))
write_together(dict(snakemake.output.items()), progress(parts, len(patients), "immune systems"))
