"""Simulate the marrow of one batch of patients."""

from hsc_pipeline.logs import progress, start

start(snakemake.log[0], pandas=False)

from hsc_pipeline.engraftment import engraft_patients
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, DRIVERS, PRODUCTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import by_patient, read_turns, write_together

BY_PATIENT = (CLONES, DRIVERS, EVENTS)
batch = snakemake.params.patients
settings = Settings(**snakemake.params.settings)


def parts():
    """Tables of one patient after the other."""
    for read in read_turns((PATIENTS, PRODUCTS, *BY_PATIENT), dict(snakemake.input.items()), batch):
        patients, products = (read[table.name].to_pylist() for table in (PATIENTS, PRODUCTS))
        numbers = [row["patient"] for row in patients]
        yield from engraft_patients(
            patients,
            products={row["patient"]: row for row in products},
            **{table.name: by_patient(read[table.name], numbers) for table in BY_PATIENT},
            settings=settings,
        )


write_together(dict(snakemake.output.items()), progress(parts(), batch[1] - batch[0] + 1, "marrows"))
