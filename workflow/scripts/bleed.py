"""Draw the blood of one batch of patients and read it in the laboratory."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0])

from hsc_pipeline.blood import bleed_patients
from hsc_pipeline.engraftment import CLONE_SIZES, MARROW
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, PRODUCTS, SITES
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import by_patient, turns, write_together

batch, files = snakemake.params.patients, snakemake.input
settings = Settings(**snakemake.params.settings)


def parts():
    """Tables of one patient after the other."""
    for turn in turns(batch):
        numbers = range(turn[0], turn[1] + 1)
        patients = PATIENTS.read(files.patients, turn).to_pylist()
        yield from bleed_patients(
            patients,
            products={row["patient"]: row for row in PRODUCTS.read(files.products, turn).to_pylist()},
            clones=by_patient(CLONES.read(files.clones, turn), numbers),
            sites=by_patient(SITES.read(files.sites, turn), numbers),
            marrow=by_patient(MARROW.read(files.marrow, turn), numbers),
            clone_sizes=by_patient(CLONE_SIZES.read(files.clone_sizes, turn), numbers),
            events=by_patient(EVENTS.read(files.events, turn), numbers),
            settings=settings,
        )


write_together(dict(snakemake.output.items()), progress(parts(), batch[1] - batch[0] + 1, "bloods"))
