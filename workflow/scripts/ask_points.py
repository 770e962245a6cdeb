"""Write what the points of an arm are laid by, and what each stage may read for it."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import json

from hsc_pipeline.tables import replacing

asked = {"lay": snakemake.params.lay, "settings": snakemake.params.settings}
with replacing(snakemake.output[0]) as aside:
    aside.write_text(json.dumps(asked), encoding="utf-8")
