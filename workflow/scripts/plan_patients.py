"""Draw the virtual patients of one arm."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.plan import plan_patients
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import write

patients = plan_patients(
    range(snakemake.params.patients), Settings(**snakemake.params.settings), snakemake.wildcards.arm
)
write(snakemake.output[0], patients)
