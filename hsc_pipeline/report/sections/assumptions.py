"""What is assumed, and where it all comes from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from hsc_pipeline import __version__
from hsc_pipeline.manifest import LIBRARIES
from hsc_pipeline.report.page import Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.style import label
from hsc_pipeline.report.wording import listed, unit_words

AGAIN = (
    ("is every file as the run left it", "python -m hsc_pipeline verify results/{study}"),
    ("run it again, and compare", "python -m hsc_pipeline reproduce results/{study}"),
    ("beside another study", "python -m hsc_pipeline compare results/{study} results/OTHER"),
    ("pack it to deposit", "python -m hsc_pipeline archive results/{study} --out {study}.zip"),
)
MOST_SET = 100  # values set in the study file: a sweep has thousands
MOST_NAMED = 4  # arms
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
    (
        "immunity/<arm>/",
        "reconstitution, repertoire, challenges, vaccine_responses, infection_risk, scores and more",
    ),
    ("outcomes.parquet, outcomes.csv", "one row a patient and arm"),
    ("visits.parquet", "one row a visit: the truth, and what the laboratory sees"),
    ("sweep/, uncertainty/", "points, and outcomes and visits under them"),
    ("models/", "surrogates with their card, early prediction, sensitivity, uncertainty"),
    ("trials/", "power, sizes, doses, stopping rules, designs"),
    ("manifest.json", "size and checksum of every file, versions, seed"),
)


@dataclass(frozen=True)
class Use:
    """A value as some arms use it; `arms` is empty where all that have it do."""

    name: str
    value: Mapping
    arms: Sequence[str]


def used(results: Results) -> list[Use]:
    """Return every value that an arm uses, by name; as often as arms have it otherwise."""
    found: dict[str, list[tuple[Mapping, list[str]]]] = {
        name: [(value, [])] for name, value in results.study["values"].items()
    }
    for arm in results.study["arms"]:  # another product brings values of its own
        for name, value in arm["values"].items():
            known = found.setdefault(name, [])
            arms = next((arms for other, arms in known if other == value), None)
            if arms is None:
                known.append((value, [label(arm["name"])]))
            else:
                arms.append(label(arm["name"]))
    return [
        Use(name, value, (arms or ["all others"]) if len(known) > 1 else [])
        for name, known in sorted(found.items())
        for value, arms in known
    ]


def assumed(results: Results) -> Section:
    """Return the section on the values behind the study and how well they are known."""
    uses = used(results)
    counts = Counter(use.value["evidence"] for use in uses)
    n = counts["assumed"]
    blocks: list = [
        Text(
            f"The study rests on {len(uses)} values of the catalogue, {n} of them assumed. No interval on "
            "this page holds their uncertainty: change one in a study file, and see what follows."
        ),
        TextTable(
            "Values by evidence.",
            ["evidence", "values", "which means"],
            [[kind, str(counts[kind]), meaning] for kind, meaning in KINDS.items() if counts[kind]],
            numbers=(1,),
        ),
    ]
    chosen = [use for use in uses if use.value["evidence"] == "study file"]
    if chosen:
        caption = "Set in the study file, in place of the catalogue's value."
        if len(chosen) > MOST_SET:
            caption += f" The first {MOST_SET} of {len(chosen)}; all stand in study.yaml."
        blocks.append(_values_table(caption, chosen[:MOST_SET]))
    taken = [use for use in uses if use.value["evidence"] == "assumed"]
    if taken:
        blocks.append(_values_table(f"All {n} assumed values.", taken, tall=True))
    return Section("assumed", "Assumed", "What is assumed", blocks)


def _values_table(caption: str, uses: Sequence[Use], tall: bool = False) -> TextTable:
    several = any(use.arms for use in uses)
    rows = []
    for use in uses:
        value = use.value
        least, most = value.get("range") or (None, None)
        span = f"{least:g} to {most:g}" if least is not None else ""
        shown = value["value"] if isinstance(value["value"], str) else f"{value['value']:g}"
        row = [use.name, shown, unit_words(value["unit"]), span, value["meaning"], value["source"]]
        rows.append([*row[:1], _some(use.arms), *row[1:]] if several else row)
    head = ["name", *(["arms"] if several else []), "value", "unit", "plausible", "meaning", "source"]
    return TextTable(caption, head, rows, numbers=(head.index("value"),), tall=tall)


def _some(arms: Sequence[str]) -> str:
    more = f" and {len(arms) - MOST_NAMED} more" if len(arms) > MOST_NAMED else ""
    return ", ".join(arms[:MOST_NAMED]) + more


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
                ["libraries", ", ".join(f"{name} {version(name)}" for name in LIBRARIES)],
                ["format of the study file", f"{study['kind']}, version {study['schema_version']}"],
                *([f"SHA-256 of {name}", digest] for name, digest in results.checksums.items()),
            ],
        ),
        TextTable(
            "How to run it again. The same study file, seed and versions leave the same bytes in every "
            "table, whatever the number of cores; checksums of all files stand in manifest.json.",
            ["", ""],
            [[what, command.format(study=study["name"])] for what, command in AGAIN],
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
