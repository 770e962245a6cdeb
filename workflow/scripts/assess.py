"""Score the immune systems of one batch of patients."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0])

from hsc_pipeline.blood import COUNTS
from hsc_pipeline.immunity import assess_patients
from hsc_pipeline.plan import PATIENTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import by_patient, write_together

batch = snakemake.params.patients
numbers = range(batch[0], batch[1] + 1)
patients = PATIENTS.read(snakemake.input.patients, batch).to_pylist()
counts = by_patient(COUNTS.read(snakemake.input.counts, batch), numbers)
parts = assess_patients(patients, counts, Settings(**snakemake.params.settings))
write_together(dict(snakemake.output.items()), progress(parts, len(patients), "immune systems"))
