"""Score an arm's median patient over the catalogue's ranges."""

from hsc_pipeline.logs import start

start(snakemake.log[0], pandas=False)

from hsc_pipeline.blood import COUNTS
from hsc_pipeline.engraftment import CLONE_SIZES, MARROW
from hsc_pipeline.immunity import TABLES
from hsc_pipeline.immunity.ranges import range_scores
from hsc_pipeline.plan import EVENTS, PATIENTS, landmark_month
from hsc_pipeline.product import CLONES, PRODUCTS
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import write

files, settings = dict(snakemake.input.items()), Settings(**snakemake.params.settings)
scores = TABLES["scores"].read(files.pop("scores"))
people = files.pop("patients")
schemas = {table.name: table for table in (PRODUCTS, CLONES, MARROW, CLONE_SIZES, COUNTS, EVENTS)}


def read(number):
    """One patient and its tables."""
    [patient] = PATIENTS.read(people, (number, number)).to_pylist()
    return patient, {name: schemas[name].read(path, (number, number)) for name, path in files.items()}


month = landmark_month(settings.study["visits_months"], settings["benefit.landmark_month"])
write(snakemake.output[0], range_scores(scores, month, read, snakemake.params.ranges, settings))
