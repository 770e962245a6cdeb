"""Simulate the marrow of one batch of patients."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0])

from hsc_pipeline.engraftment import engraft_patients
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, DRIVERS, PRODUCTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import by_patient, turns, write_together

batch, files = snakemake.params.patients, snakemake.input
settings = Settings(**snakemake.params.settings)


def parts():
    """Tables of one patient after the other."""
    for turn in turns(batch):
        numbers = range(turn[0], turn[1] + 1)
        patients = PATIENTS.read(files.patients, turn).to_pylist()
        yield from engraft_patients(
            patients,
            products={row["patient"]: row for row in PRODUCTS.read(files.products, turn).to_pylist()},
            clones=by_patient(CLONES.read(files.clones, turn), numbers),
            drivers=by_patient(DRIVERS.read(files.drivers, turn), numbers),
            events=by_patient(EVENTS.read(files.events, turn), numbers),
            settings=settings,
        )


write_together(dict(snakemake.output.items()), progress(parts(), batch[1] - batch[0] + 1, "marrows"))
