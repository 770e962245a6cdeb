"""What is assumed, and where it all comes from."""

from collections import Counter
from collections.abc import Mapping

from hsc_pipeline import __version__
from hsc_pipeline.report.page import Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.wording import listed

KINDS = {
    "published": "read in the named source",
    "computed": "computed from deposited data",
    "derived": "derived from these by a stated assumption",
    "assumed": "recalled or chosen by this project; not verified",
    "study file": "set in the study file",
}
STAGES = (
    ("study.yaml", "the study with every default filled in"),
    ("plan/<arm>/", "patients"),
    ("product/<arm>/", "products, clones, sites, drivers"),
    ("engraftment/<arm>/", "marrow, clone_sizes"),
    ("blood/<arm>/", "counts, recovery, integration_sites"),
    ("immunity/<arm>/", "reconstitution, challenges, scores"),
    ("outcomes.parquet, outcomes.csv", "one row a patient and arm"),
    ("models/", "performance, importance, predictions"),
    ("manifest.json", "size and checksum of every file, versions, seed"),
)


def assumed(results: Results) -> Section:
    """Return the section on the values behind the study and how well they are known."""
    values = dict(results.study["values"])
    for arm in results.study["arms"]:  # another product brings values of its own
        values |= {name: value for name, value in arm["values"].items() if name not in values}
    counts = Counter(value["evidence"] for value in values.values())
    n = counts["assumed"]
    blocks: list = [
        Text(
            f"The study rests on {len(values)} values of the catalogue, {n} of them assumed. No interval on "
            "this page holds their uncertainty: change one in a study file, and see what follows."
        ),
        TextTable(
            "Values by evidence.",
            ["evidence", "values", "which means"],
            [[kind, str(counts[kind]), meaning] for kind, meaning in KINDS.items() if counts[kind]],
            numbers=(1,),
        ),
    ]
    chosen = {name: value for name, value in values.items() if value["evidence"] == "study file"}
    if chosen:
        blocks.append(_values_table("Set in the study file, in place of the catalogue's value.", chosen))
    taken = {name: value for name, value in values.items() if value["evidence"] == "assumed"}
    if taken:
        blocks.append(_values_table(f"All {n} assumed values.", taken, tall=True))
    return Section("assumed", "Assumed", "What is assumed", blocks)


def _values_table(caption: str, values: Mapping[str, Mapping], tall: bool = False) -> TextTable:
    rows = []
    for name, value in values.items():
        least, most = value.get("range") or (None, None)
        span = f"{least:g} to {most:g}" if least is not None else ""
        shown = value["value"] if isinstance(value["value"], str) else f"{value['value']:g}"
        rows.append([name, shown, value["unit"], span, value["meaning"], value["source"]])
    head = ["name", "value", "unit", "plausible", "meaning", "source"]
    return TextTable(caption, head, rows, numbers=(1,), tall=tall)


def provenance(results: Results) -> Section:
    """Return the section on what made this page."""
    study = results.study
    arms = listed([entry["name"] for entry in study["arms"][: len(results.arms)]])
    blocks = [
        TextTable(
            "What made this page.",
            ["", ""],
            [
                ["study", study["name"]],
                ["disease", f"{study['disease_title']} ({study['disease']})"],
                ["arms", arms],
                ["seed", str(study["seed"])],
                ["package", f"hsc_pipeline {__version__}"],
                ["format of the study file", f"{study['kind']}, version {study['schema_version']}"],
            ],
        ),
        TextTable(
            f"Where the tables lie, beside this page in results/{study['name']}.",
            ["path", "tables"],
            [list(row) for row in STAGES],
        ),
        Text(
            "Scores are scores, not clinical probabilities. The patients are virtual. This is not a "
            "medical device, and nothing here is advice on the treatment of a person."
        ),
    ]
    return Section("provenance", "Provenance", "Provenance", blocks)
