"""Draw the products of one batch of patients."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0], pandas=False)

from hsc_pipeline.plan import PATIENTS
from hsc_pipeline.product import make_products
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import write_together

patients = PATIENTS.read(snakemake.input.patients, snakemake.params.patients).to_pylist()
parts = make_products(patients, Settings(**snakemake.params.settings))
write_together(dict(snakemake.output.items()), progress(parts, len(patients), "products"))
