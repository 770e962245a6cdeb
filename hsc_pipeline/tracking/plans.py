"""What the next samples of a tracking run should be, by what the ones at hand have shown."""

from dataclasses import dataclass

import numpy as np

from hsc_pipeline.tracking.run import LINEAGES, Run

SHARES = (0.0001, 0.001, 0.01, 0.1)  # of a clone among corrected cells
POWER = 0.9
ADVANTAGES = {"month_at_0.5": 0.5, "month_at_1": 1.0}  # of a driver, per year
FOLD = 2.0
DEPTHS, OCCASIONS = (0.3, 1, 3), (2, 4, 8)
ESTIMATOR = "Chao2"


@dataclass(frozen=True)
class Usual:
    """What a usual sample of a lineage is.

    Attributes
    ----------
    fragments : float
    ng : float
        DNA; the catalogue's where the tables do not say.
    corrected : float
        Share of corrected cells: VCN over copies; 1 where the tables do not say.
    capture : float
        Chance of an insertion to be seen: of these samples where they tell, or the catalogue's.
    stated : bool
        Whether the tables tell of DNA and VCN.
    """

    fragments: float
    ng: float
    corrected: float
    capture: float
    stated: bool


def usual_samples(run: Run) -> dict[str, Usual]:
    """Return the usual sample of each lineage, of the stable months and the tissue of `stem_cells`."""
    from hsc_pipeline.catalogue import branch_values

    values = {name: value.value for name, value in branch_values("tracking").items()}
    wanted = run.settings["stem_cells"]
    totals = run.observations.clones.select(["sample", "count"]).to_pandas()
    sizes = totals.astype({"sample": str}).groupby("sample")["count"].sum()
    samples = run.observations.samples.to_pandas()
    samples = samples[(samples["month"] >= wanted["from_month"]) & (samples["tissue"] == wanted["tissue"])]
    samples = samples.assign(fragments=samples["sample"].map(sizes).astype(float))
    found = {}
    for lineage in dict.fromkeys([wanted["lineage"], *LINEAGES]):
        own = samples[samples["lineage"] == lineage].dropna(subset="fragments")
        if not len(own):
            continue
        known = own[(own["dna_ng"] > 0) & (own["vcn"] > 0)]
        capture, ng, corrected = values["lab.capture_efficiency"], values["lab.dna_ng.neutrophil"], 1.0
        if len(known):
            genomes = known["dna_ng"] * known["vcn"] * values["lab.genomes_per_ng"]
            capture = min(float((known["fragments"] / genomes).median()), 1.0)
            ng = float(known["dna_ng"].median())
            corrected = min(float((known["vcn"] / wanted["copies_per_cell"]).median()), 1.0)
        found[lineage] = Usual(float(own["fragments"].median()), ng, corrected, capture, len(known) > 0)
    return found


def see_clone(run: Run):
    """Yield the DNA that shows a clone of given share, and the chance that a usual sample does."""
    import pandas as pd

    from hsc_pipeline.catalogue import branch_values
    from hsc_pipeline.tracking.design import dna_to_see, month_of_share, samples_to_see, usual_chance

    if not run.whole_counts:
        return
    wanted = run.settings["stem_cells"]
    per_ng = branch_values("tracking")["lab.genomes_per_ng"].value
    for lineage, usual in usual_samples(run).items():
        share = np.array(SHARES)
        ng = dna_to_see(share * usual.corrected, POWER, capture=usual.capture)
        # Genomes that would give the fragments at one copy per corrected cell, all captured.
        worth = usual.fragments / wanted["copies_per_cell"] / per_ng
        seen = usual_chance(share, worth, capture=1.0)
        months = {
            name: [month_of_share(s, advantage, 1 / wanted["marked"]) for s in SHARES]
            for name, advantage in ADVANTAGES.items()
        }
        yield pd.DataFrame(
            {
                "lineage": lineage,
                "share": share,
                "fragments": usual.fragments,
                "chance": seen,
                "stated": usual.stated,
                "ng": usual.ng,
                "corrected": usual.corrected,
                "capture": usual.capture,
                "ng_needed": ng,
                "samples_needed": samples_to_see(
                    share * usual.corrected, usual.ng, POWER, capture=usual.capture
                ),
                **months,
            }
        )


def see_change(run: Run):
    """Yield the power to tell a twofold change of the number of clones, by DNA and samples."""
    from hsc_pipeline.catalogue import branch_values
    from hsc_pipeline.tracking.design import power_of_fold_change
    from hsc_pipeline.tracking.population import population_size

    if not run.whole_counts:
        return
    seen = [one.counts[:, one.counts.any(axis=0)] > 0 for one in run.marrow()]
    sizes = [population_size(one, (ESTIMATOR,))["estimate"].iloc[0] for one in seen if one.shape[1] > 1]
    sizes = [size for size in sizes if np.isfinite(size)]
    if not sizes:
        return
    clones = float(np.median(sizes))
    fragments = float(np.median(np.concatenate([one.counts.sum(axis=0) for one in run.marrow()])))
    values = branch_values("tracking")
    per_ng = values["lab.genomes_per_ng"].value * values["lab.capture_efficiency"].value
    ng = [times * fragments / per_ng for times in DEPTHS]
    found = power_of_fold_change(FOLD, clones, ng, OCCASIONS, seed=run.settings["seed"])
    times = np.repeat(DEPTHS, len(OCCASIONS))
    yield found.assign(fold=FOLD, clones=clones, times_dna=times)
