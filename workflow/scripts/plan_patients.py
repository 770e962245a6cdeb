"""Draw the virtual patients of one arm and what befalls them."""

from hsc_pipeline.logs import start

start(snakemake.log[0], pandas=False)

from hsc_pipeline.plan import plan_events, plan_patients
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import write

settings = Settings(**snakemake.params.settings)
patients = plan_patients(range(snakemake.params.patients), settings, snakemake.wildcards.arm)
write(snakemake.output.patients, patients)
write(snakemake.output.events, plan_events(patients.to_pylist(), settings))
