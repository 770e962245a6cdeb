"""Draw the blood of one batch of patients and read it in the laboratory."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0])

from hsc_pipeline.blood import bleed_patients
from hsc_pipeline.engraftment import CLONE_SIZES, MARROW
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, PRODUCTS, SITES
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import by_patient, write_together

batch = snakemake.params.patients
numbers = range(batch[0], batch[1] + 1)
patients = PATIENTS.read(snakemake.input.patients, batch).to_pylist()
parts = bleed_patients(
    patients,
    products={row["patient"]: row for row in PRODUCTS.read(snakemake.input.products, batch).to_pylist()},
    clones=by_patient(CLONES.read(snakemake.input.clones, batch), numbers),
    sites=by_patient(SITES.read(snakemake.input.sites, batch), numbers),
    marrow=by_patient(MARROW.read(snakemake.input.marrow, batch), numbers),
    clone_sizes=by_patient(CLONE_SIZES.read(snakemake.input.clone_sizes, batch), numbers),
    events=by_patient(EVENTS.read(snakemake.input.events, batch), numbers),
    settings=Settings(**snakemake.params.settings),
)
write_together(dict(snakemake.output.items()), progress(parts, len(patients), "bloods"))
