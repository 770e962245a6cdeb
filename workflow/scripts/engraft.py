"""Simulate the marrow of one batch of patients."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0])

from hsc_pipeline.engraftment import engraft_patients
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, DRIVERS, PRODUCTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import by_patient, write_together

batch = snakemake.params.patients
numbers = range(batch[0], batch[1] + 1)
patients = PATIENTS.read(snakemake.input.patients, batch).to_pylist()
parts = engraft_patients(
    patients,
    products={row["patient"]: row for row in PRODUCTS.read(snakemake.input.products, batch).to_pylist()},
    clones=by_patient(CLONES.read(snakemake.input.clones, batch), numbers),
    drivers=by_patient(DRIVERS.read(snakemake.input.drivers, batch), numbers),
    events=by_patient(EVENTS.read(snakemake.input.events, batch), numbers),
    settings=Settings(**snakemake.params.settings),
)
write_together(dict(snakemake.output.items()), progress(parts, len(patients), "marrows"))
