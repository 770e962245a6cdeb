"""Fit and judge the surrogate models of the outcomes, and keep them with their card."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import json

from hsc_pipeline.models.card import card
from hsc_pipeline.models.features import Swept, join_sweep
from hsc_pipeline.models.kept import to_bytes
from hsc_pipeline.models.surrogates import learn
from hsc_pipeline.outcomes import OUTCOMES
from hsc_pipeline.points import POINT_OUTCOMES, POINTS
from hsc_pipeline.tables import replacing

given = snakemake.params
outcomes = OUTCOMES.read(snakemake.input.outcomes).to_pandas()
swept = {name: Swept(**value) for name, value in given.swept.items()}
if swept:
    outcomes_of_sweep, points = snakemake.input.sweep
    sweep = POINT_OUTCOMES.read(outcomes_of_sweep).to_pandas()
    outcomes = join_sweep(outcomes, swept, sweep, POINTS.read(points).to_pandas())
learnt = learn(outcomes, given.seed, given.months, swept)
about = card(learnt, outcomes, given.seed, swept)
for name, frame in learnt.tables.items():
    with replacing(snakemake.output[name]) as aside:
        frame.to_csv(aside, index=False)
with replacing(snakemake.output.models) as aside:
    aside.write_bytes(to_bytes(learnt, about))
with replacing(snakemake.output.card) as aside:
    aside.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
