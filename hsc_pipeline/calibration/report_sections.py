"""Sections of the report of a calibration."""

import numpy as np
import pandas as pd

from hsc_pipeline import __version__
from hsc_pipeline.calibration import report_figures as figures
from hsc_pipeline.calibration.draws import LIKENESS, POPULATION
from hsc_pipeline.calibration.exact import founders_posterior, grid_quantile, population_posterior
from hsc_pipeline.calibration.run import FITTED, KEPT_BACK, LEFT_OUT
from hsc_pipeline.calibration.simulate import DERIVED
from hsc_pipeline.privacy import HASHED
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.wording import counted, listed
from hsc_pipeline.report.wording import number as rounded
from hsc_pipeline.tracking.blocks import same, table

GRID_OF_FOUNDERS = np.unique(np.round(np.geomspace(5, 1e5, 160)))
DERIVED_AS = {
    "engrafted": "corrected stem cells that engrafted",
    "residual_host": "share of the host's stem cells that conditioning left",
}
EXACT = "exact law, on a grid"
MOST_DRAWN = 12  # panels of parameters; all stand in the tables
MOST_PREDICTED = 40  # statistics in a figure
STRONG = 0.3  # correlations that are named
INTERVAL = "From the 5th to the 95th centile of the posterior's draws: what is not known of the parameter."


def verdict(results) -> Section:
    """Return the verdict, and each parameter in a sentence."""
    lines = [_begun(line) for line in results.verdict.splitlines()]
    lines = [line if line.endswith((".", ":")) else f"{line}." for line in lines]
    rows = results.tables["summary"].merge(results.tables["identifiability"][["parameter", "said"]])
    return Section(
        "verdict", "Verdict", "Can this fit be trusted?", [], [*lines, *map(_sentence, _drawn(rows))]
    )


def _begun(line: str) -> str:
    """Return a sentence with a capital, unless it begins with the name of a value."""
    return line if "." in line.split()[0] else f"{line[:1].upper()}{line[1:]}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share as ``"90 %"``."""
    return f"{100 * share:.{digits}f} %"


def _drawn(rows: pd.DataFrame) -> list:
    return [row for row in rows.itertuples() if not row.parameter.startswith((POPULATION, LIKENESS))]


def _sentence(row) -> str:
    """Say what a parameter is, or that the data do not tell."""
    span = f"{_short(row.low)} to {_short(row.high)}, median {_short(row.median)}"
    before = f"{_short(row.prior_low)} to {_short(row.prior_high)}"
    if row.said == "unidentified":
        return f"{row.parameter}: not told by these data; it stays within {before}."
    weak = ", weakly told" if row.said == "weakly identified" else ""
    return f"{row.parameter}: {span} (before the data {before}){weak}."


def _short(value: float) -> str:
    if not np.isfinite(value):
        return "unknown"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return rounded(value)
    digits, power = f"{value:.1e}".split("e")
    return f"{digits}e{int(power)}".replace("-", "−")


def parameters(results) -> Section:
    """Return what the data moved: posterior against prior, contraction, correlations."""
    summary = results.tables["summary"]
    known = results.tables["identifiability"][["parameter", "with", "correlation", "said"]]
    rows = summary.merge(known, on="parameter")
    for name in ("prior_low", "prior_median", "prior_high", "low", "median", "high"):
        rows[name] = rows[name].map(_short)
    columns = {
        "parameter": "parameter",
        **{"prior_low": "prior 5 %", "prior_median": "prior median", "prior_high": "prior 95 %"},
        **{"low": "posterior 5 %", "median": "posterior median", "high": "posterior 95 %"},
        **{"contraction": "contraction", "r2": "foreseen (R²)", "said": "verdict"},
        **{"with": "most related to", "correlation": "correlation"},
    }
    caption = (
        "Contraction: 1 − sd of the posterior over that of the prior, on the prior's scores; 0: the data say "
        "nothing. Foreseen: share of the prior's variance that the statistics foresee in simulations not "
        "seen. "
        f"{INTERVAL}"
    )
    names = list(summary["parameter"])[:MOST_DRAWN]
    note = f" The first {MOST_DRAWN} of {len(summary)}." if len(summary) > MOST_DRAWN else ""
    figure = Figure(
        "posteriors",
        "Posterior against prior",
        "A bar for each equal share of the prior; its height is how many times as likely the data make it. "
        f"The dashed line is the prior: where bars follow it, the data say nothing.{note} "
        f"{len(results.joint):,} draws.",
        "Bars of posterior over prior probability, a panel a parameter.",
        figures.posteriors(results.joint, results.priors, names),
    )
    pairs = results.tables["correlations"]
    strong = pairs[pairs["correlation"].abs() >= STRONG] if len(pairs) else pairs
    blocks: list = [figure, table(rows, columns, caption)]
    if len(strong):
        strong = strong.sort_values("correlation", key=lambda c: -c.abs(), kind="stable")
        text = f"Rank correlations in the posterior of {STRONG:g} or more: the data tell of the two together."
        blocks.append(table(strong, same("parameter", "other", "correlation"), text, 20))
    blocks.append(_derived(results))
    moved = [row.parameter for row in rows.itertuples() if row.said != "unidentified"]
    lead = f"The data move {listed(moved)}." if moved else "The data move none of the parameters."
    return Section("parameters", "Parameters", "What the data tell of the parameters", blocks, [lead])


def _derived(results) -> TextTable:
    """Return what follows from the parameters: stem cells that engrafted, and host cells left."""
    rows = []
    for number, seen in enumerate(results.designs["coalescences"]):
        for name, what in DERIVED_AS.items():
            column = DERIVED + name + (f"@{number + 1}" if results.calibration.patients > 1 else "")
            low, median, high = results.replicated[column].quantile([0.05, 0.5, 0.95])
            rows.append([str(number + 1), what, *map(_short, (low, median, high)), "posterior, simulated"])
        for colonies, coalescences in seen:
            found = founders_posterior(colonies, coalescences, grid=GRID_OF_FOUNDERS)
            what = f"founders, by {coalescences} coalescences of {colonies} colonies alone"
            rows.append([str(number + 1), what, *_ends(found), EXACT])
        for seen_twice in results.designs["captures"][number]:
            found = population_posterior(seen_twice["caught"], seen_twice["seen"])
            whose, months = (
                f"{seen_twice['lineage'] or 'all'} clones",
                " and ".join(f"{m:g}" for m in seen_twice["months"]),
            )
            what = f"{whose}, by captures of months {months} alone ({seen_twice['instrument']})"
            rows.append([str(number + 1), what, *_ends(found), EXACT])
    caption = (
        "What follows from the parameters and chance. Beside it exact laws that share nothing with the fit "
        "but the data: of coalescences of colonies in a marrow that regrew by drift alone, as founders that "
        "are left; of clones caught at the first two stable visits, each as easily as the next. Where clones "
        "differ in size, captures tell of the larger ones: fewer than there are. A stem cell with two copies "
        "is two clones."
    )
    head = ["patient", "what", "5 %", "median", "95 %", "from"]
    return TextTable(caption, head, rows, numbers=(2, 3, 4))


def _ends(posterior: pd.DataFrame) -> list[str]:
    return [_short(grid_quantile(posterior, level)) for level in (0.05, 0.5, 0.95)]


def recovery(results) -> Section:
    """Return simulation-based calibration: ranks, whether they are even, and coverage."""
    ranks, even, held = (results.tables[name] for name in ("sbc", "uniformity", "coverage"))
    names = list(even["parameter"])[:MOST_DRAWN]
    held_out = int(even["ranks"].iloc[0])
    figure = Figure(
        "ranks",
        "Where the truth lies in the posterior",
        f"{held_out} simulations of known parameters, held out of all learning, were fitted as if they were "
        "patients. A bar is how often the truth had that rank among the draws of its posterior; grey: where "
        f"a bar lies with chance {percent(figures.LEVEL)} if the fit is right. High ends: posteriors "
        "too narrow; a hump: too wide; a slope: shifted.",
        "Histograms of ranks of known parameters in their posteriors, a panel a parameter.",
        figures.ranks(ranks, names),
    )
    columns = {
        **same("parameter", "ranks"),
        **{
            "mean_rank": "mean rank",
            "excess": "variance, of expected",
            "p_value": "p",
            "p_adjusted": "p, Holm",
        },
        "said": "ranks are",
    }
    wide = held.assign(level=held["level"].map(lambda level: f"{percent(level)} interval"))
    for name in ("covered", "low", "high"):
        wide[name] = wide[name].map(lambda share: percent(share))
    told = {**same("parameter", "level"), "covered": "held the truth", "low": "least", "high": "most"}
    bad = even.loc[~even["uniform"].astype(bool), "parameter"].tolist()
    lead = (
        f"Known parameters are not recovered as they should be: {listed(bad)}."
        if bad
        else f"In {held_out} simulations the truth lies in its posterior as often as it should."
    )
    blocks = [
        figure,
        table(
            even, columns, "Neyman's smooth test of even ranks; p over all parameters together after Holm."
        ),
        table(wide, told, f"Coverage of posterior intervals among {held_out} simulations; 95 % of chance."),
    ]
    return Section("recovery", "Recovery", "Are known parameters recovered?", blocks, [lead])


def predictions(results) -> Section:
    """Return posterior predictive checks."""
    rows = results.tables["predictive"]
    kept, fitted = (rows[rows["use"] == use] for use in (KEPT_BACK, FITTED))
    blocks: list = []
    for name, chosen, what in (
        ("kept-back", kept, "Statistics that were kept back"),
        ("fitted", fitted, "Statistics that were fitted"),
    ):
        if chosen.empty:
            continue
        drawn = chosen.sort_values("p_value", kind="stable").head(MOST_PREDICTED)
        more = f" The {len(drawn)} farthest out of {len(chosen)}." if len(drawn) < len(chosen) else ""
        caption = (
            f"Bar: the middle 90 % of {results.calibration.file.predictions} patients simulated from the "
            "posterior, on a scale of its half-width; dot: this patient. Uncertainty of the parameters, and "
            "chance between patients with the same ones. Dots beyond four half-widths stand at the edge."
            f"{more}"
        )
        label = "Bars of predicted statistics with a dot for what was measured."
        blocks.append(Figure(f"predicted-{name}", what, caption, label, figures.predictions(drawn)))
    lead = []
    for chosen, what in ((kept, "not fitted"), (fitted, "fitted")):
        if len(chosen):
            half, most = (int(chosen[f"within_{level}"].astype(bool).sum()) for level in (50, 90))
            n = len(chosen)
            lead.append(
                f"Of {counted(n, 'statistic')} {what}, {most} lie in their 90 % interval (right: near "
                f"{0.9 * n:.0f}) and {half} in their 50 % interval (near {0.5 * n:.0f}); statistics of one "
                "patient are related, so they err together."
            )
    bad = kept.loc[~kept["fits"].astype(bool), "statistic"].tolist() if len(kept) else []
    if bad:
        more = f" and {len(bad) - 8} more" if len(bad) > 8 else ""
        lead.append(f"The fitted model does not give {', '.join(bad[:8])}{more}.")
    return Section("predictions", "Predictions", "Does the fitted model give such a patient?", blocks, lead)


def structures(results) -> Section:
    """Return which form of the model the data speak for."""
    rows, confusion = results.tables["structures"], results.tables["confusion"]
    if len(rows) < 2:
        return Section("structures", "Structures", "Which structure?", [])
    best = rows.loc[rows["probability"].idxmax()]
    right = float(np.mean([row[row["structure"]] for _, row in confusion.iterrows()]))
    lead = [
        f"The most probable structure is {best['structure']} ({percent(best['probability'])}; before the "
        f"data {percent(1 / len(rows))} each).",
        f"Among simulations not seen, the true structure is named in {percent(right)} (by chance "
        f"{percent(1 / len(rows))}).",
    ]
    figure = Figure(
        "structures",
        "Probability of each structure",
        "After the data; dashed: before. Calibrated on simulations whose structure is known.",
        "Bars of the probability of each structure.",
        figures.structures(rows),
    )
    told = rows.assign(
        **{name: rows[name].map(lambda share: percent(share, 1)) for name in ("probability", "low", "high")}
    )
    columns = {
        **same("structure", "probability", "low", "high"),
        "bayes_factor": "Bayes factor against the others",
    }
    shares = [name for name in confusion.columns if name in set(rows["structure"])]
    shown = confusion.assign(**{name: confusion[name].map(lambda share: percent(share)) for name in shares})
    blocks = [
        figure,
        table(told, columns, "Low and high: over the learners of the folds."),
        table(
            shown,
            {**same("structure", "simulations"), **{name: f"called {name}" for name in shares}},
            "Held-out simulations of each structure, and which was called the most probable.",
        ),
    ]
    return Section("structures", "Structures", "Which structure do the data speak for?", blocks, lead)


def data(results) -> Section:
    """Return what was measured, and how far out of the prior's simulations it lies."""
    rows = [
        {
            "patient": number + 1,
            "instrument": instrument,
            "lineage": lineage or "not stated",
            "samples": len(own),
            "first": own["month"].min(),
            "last": own["month"].max(),
            "DNA": "known" if own["dna_ng"].notna().all() else "drawn from the catalogue's",
        }
        for number, design in enumerate(results.designs["patients"])
        for instrument, tubes in design["tubes"].items()
        for lineage, own in pd.DataFrame(tubes).groupby("lineage", sort=True)
    ]
    columns = {
        **same("patient", "instrument", "lineage", "samples"),
        "first": "first month",
        "last": "last month",
    }
    blocks: list = [table(pd.DataFrame(rows), {**columns, "DNA": "DNA used"}, "Samples of each patient.")]
    far = results.tables["farthest"].head(10)
    caption = (
        "The statistics that lie farthest from the median simulation of the prior, with the 1st and 99th "
        "centile of the simulations."
    )
    blocks.append(table(far, same("statistic", "value", "low", "high"), caption))
    use = results.tables["observed"]["use"]
    lead = [
        f"{results.inside['said'][:1].upper()}{results.inside['said'][1:]}.",
        f"{(use == FITTED).sum()} statistics are fitted, {(use == KEPT_BACK).sum()} kept back to check the "
        f"fit, {(use == LEFT_OUT).sum()} left out.",
    ]
    if results.fit["constant"]:
        lead.append(f"Not fitted, as no parameter moves them: {', '.join(results.fit['constant'])}.")
    for number, said in enumerate(results.designs["remarks"], start=1):
        blocks += [Text(f"Patient {number}: {' '.join(said)}", quiet=True)] if said else []
    return Section("data", "Data", "The data", blocks, lead)


def onward(results) -> Section:
    """Return how to go on from the posterior."""
    whose = "a new patient like these" if results.calibration.patients > 1 else "this patient"
    text = (
        f"{results.folder}/posterior.csv holds {len(results.joint):,} draws of the posterior, a column a "
        f"value of the catalogue, and {results.folder}/study.yaml a study of {whose} whose uncertainty is "
        f"drawn from it. Change its visits, its dose or its arms, and run: snakemake --configfile "
        f"{results.folder}/study.yaml"
    )
    return Section("onward", "Go on", "A study that goes on from the posterior", [Text(text)])


def provenance(results) -> Section:
    """Return seed, failures, settings."""
    file, fit = results.calibration.file, results.fit
    shown = file.privacy.identifiers != HASHED
    structure = results.calibration.structures[results.calibration.fitted]
    rows = [
        [str(number + 1), one.subject if shown else "hashed", _set(results.calibration, number)]
        for number, one in enumerate(file.patients)
    ]
    failures = "; ".join(f"{reason} ({n})" for reason, n in fit["failures"].items())
    words = (
        f"hsc_pipeline {__version__}, seed {file.seed}. {fit['simulations']:,} simulations of structure "
        f"{structure.name} in {counted(fit['rounds'], 'round')}; {fit['within_box']:,} lie where the last "
        f"round drew and {fit['used']:,} of them were learnt from; {fit['failed']} failed"
        f"{': ' + failures if failures else ''}. The posterior is worth {fit['effective']:.0f} independent "
        f"draws."
    )
    blocks = [
        TextTable("Patients, and what is set of them.", ["patient", "subject", "set"], rows),
        Text(words, quiet=True),
    ]
    return Section("provenance", "Provenance", "Provenance", blocks)


def _set(calibration, patient: int) -> str:
    chosen = calibration.set_of(calibration.fitted, patient)
    weight = calibration.file.patients[patient].weight_kg
    said = [f"{name} = {value}" for name, value in sorted(chosen.items())]
    return ", ".join([*([f"weight {weight:g} kg"] if weight else []), *said]) or "nothing"
