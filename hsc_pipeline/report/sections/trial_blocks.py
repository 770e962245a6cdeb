"""Figures and tables of the section on trials."""

from collections.abc import Iterator

import pandas as pd

from hsc_pipeline.report.figures import trial as figures
from hsc_pipeline.report.page import Figure, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.style import label
from hsc_pipeline.report.summary import MEASURES
from hsc_pipeline.report.wording import counted, number, unit_words

MOST_PANELS = 6
KINDS = {
    "power": "power (band: finite cohorts)",
    "assurance": "assurance, over finite cohorts",
    "assurance_catalogue": "assurance, over the catalogue",
}


def blocks(results: Results) -> Iterator[Figure | TextTable]:
    """Yield every figure and table that the study's answers allow."""
    makers = (
        _power_figure,
        _size_table,
        _dose_figure,
        _search_blocks,
        _futility_table,
        _safety_figure,
        _control_table,
        _incidence_figure,
    )
    for make in makers:
        yield from make(results)


def named(results: Results, table: str) -> pd.DataFrame:
    """Return an answer with arms as readers see them, of the arms that are drawn."""
    found = results.answers[table]
    if found.empty or "arm" not in found:
        return found
    columns = [column for column in ("arm", "control") if column in found]
    found = found.assign(**{column: found[column].astype(object).fillna("").map(label) for column in columns})
    return found[found["arm"].isin([*results.arms, "all arms"])]


def asked_of(results: Results) -> dict:
    """Return what the study file asks of a trial."""
    return results.study["trial"]


def endpoint_words(endpoint: str) -> str:
    """Return an endpoint as a reader wants it."""
    return MEASURES[endpoint].name if endpoint in MEASURES else label(endpoint)


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{number(100 * share)} %"


def _power_figure(results: Results) -> list[Figure]:
    powers = named(results, "power")
    if powers.empty:
        return []
    asked = asked_of(results)
    powers = powers.assign(panel=powers["arm"] + " against " + powers["control"])
    exact = powers["exact_power"].notna().all()
    parts = [
        powers.assign(
            kind=KINDS["power"] if exact else "power (band: Monte Carlo)",
            value=powers["power"],
            low=powers["power_p5" if exact else "low"],
            high=powers["power_p95" if exact else "high"],
        )
    ]
    parts += [
        powers.assign(kind=KINDS[column], value=powers[column], low=None, high=None)
        for column in ("assurance", "assurance_catalogue")
        if powers[column].notna().any()
    ]
    table = pd.concat([part[["panel", "arm", "n_arm", "kind", "value", "low", "high"]] for part in parts])
    table = table.astype({"low": float, "high": float})
    shown = list(dict.fromkeys(table["panel"]))[:MOST_PANELS]
    caption = (
        "Chance of a significant result against the patients of the arm; n = "
        f"{int(powers['replicates'].max()):,} virtual trials a point, whose Monte-Carlo error is at most "
        f"{percent((powers['high'] - powers['low']).max() / 2)}. Band, 90 %: shares that cohorts of "
        f"{counted(results.patients, 'virtual patient')} allow. Dashes across: wanted power. Where both arms "
        f"have the control's share, at most {percent(powers['type_one_error'].max())} of trials are "
        "significant."
    )
    chart = figures.power_curves(table[table["panel"].isin(shown)], asked["power"], "patients of the arm")
    return [
        Figure(
            "trial-power",
            "Power and assurance by the number of patients",
            caption,
            "Lines of power and assurance against the number of patients, a panel a comparison.",
            chart,
        )
    ]


def _size_table(results: Results) -> list[TextTable]:
    sizes = named(results, "sample_size")
    if sizes.empty:
        return []
    rows = [
        [
            row.arm,
            f"{percent(row.share_arm)} against {percent(row.share_control)}, {row.control}"
            if row.control
            else percent(row.share_arm),
            row.design,
            f"more than {row.largest_tried:,}" if pd.isna(row.n_arm) else f"{row.n_arm:,.0f}",
            _interval_cell(row),
            "" if pd.isna(row.expected_patients) else number(row.expected_patients),
            "" if pd.isna(row.power) else percent(row.power),
            "" if pd.isna(row.type_one_error) else percent(row.type_one_error),
        ]
        for row in sizes.itertuples()
    ]
    caption = (
        "Fewest patients of the arm by design. Interval, 90 %: shares that the finite cohorts allow. "
        "Expected: patients where the arm is no better than the past. Power at the size, or at the largest "
        "tried; type I error exact where both have the control's share."
    )
    head = ["arm", "shares", "design", "patients", "interval", "expected", "power", "type I error"]
    return [TextTable(caption, head, rows, numbers=(3, 4, 5, 6, 7), tall=len(rows) > 15)]


def _interval_cell(row: object) -> str:
    if pd.isna(row.n_low):
        return ""
    high = f"more than {row.largest_tried:,}" if pd.isna(row.n_high) else f"{row.n_high:,.0f}"
    return f"{row.n_low:,.0f} to {high}"


def _dose_figure(results: Results) -> list[Figure]:
    dose = results.answers["dose"]
    if dose.empty:
        return []
    lines = dose[dose["kind"].isin(["observed", "curve"])]
    unit = {name: unit_words(entry.get("unit", "")) for name, entry in results.study["values"].items()}
    steps = lines[lines["kind"] == "curve"].groupby(["arm", "parameter"], sort=False)["dose"]
    equal = steps.apply(lambda doses: doses.diff().std() < 1e-6 * doses.max())
    lines = lines.assign(
        panel=lines["parameter"] + ", " + lines["arm"].map(label),
        x_title=[f"{name} ({unit.get(name, '')})" for name in lines["parameter"]],
        logarithmic=[not equal[key] for key in zip(lines["arm"], lines["parameter"], strict=True)],
    )
    p = dose["lack_of_fit_p"].min()
    fits = "" if pd.isna(p) else f" Points off the curve (chi-square): p = {number(p)} at the least."
    caption = (
        "Share of patients who reach the endpoint: logistic curve with its 90 % bootstrap band over "
        f"simulated patients and points; dots and lines: each dose simulated with its 90 % interval.{fits} "
        "Dashes: the target."
    )
    chart = figures.dose_curves(lines, asked_of(results)["target"])
    label_ = "Curves of the share that reaches the endpoint against doses."
    return [Figure("trial-dose", "Dose finding", caption, label_, chart)]


def _search_blocks(results: Results) -> list:
    cells, chosen = named(results, "search"), named(results, "chosen")
    if cells.empty:
        return []
    names = list(dict.fromkeys(chosen["parameter"]))
    unit = {name: unit_words(results.study["values"].get(name, {}).get("unit", "")) for name in names}
    cells, marked = _two_values(cells, chosen, names)
    target = asked_of(results)["target"]
    skill = _skill_said(results)
    caption = (
        "Surrogate of the share that reaches the endpoint over the swept values, the mean of models that "
        "the data do not tell apart; interval, 90 %: bootstrap over points and patients of the sweep. "
        f"{skill}"
    )
    if len(names) == 1:
        chart = figures.design_line(cells, target, f"{names[0]} ({unit[names[0]]})")
    else:
        titles = [f"{name} ({unit[name]})" for name in names[:2]]
        rest = " Other values as in the chosen design." if len(names) > 2 else ""
        caption += (
            f" Colour: confidence that {percent(target)} is reached; diamond: the smallest design.{rest}"
        )
        chart = figures.design_map(cells, marked, titles)
    blocks = [
        Figure(
            "trial-search", "Search for the smallest design", caption, "Map of designs by confidence.", chart
        )
    ]
    return blocks + _calibration_figure(results, chosen)


def _two_values(
    cells: pd.DataFrame, chosen: pd.DataFrame, names: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells over the first two values, the others as chosen (or at their least)."""
    parts, marks = [], []
    for arm, rows in cells.groupby("arm", sort=False):
        own = chosen[chosen["arm"] == arm].set_index("parameter")["value"]
        for name in names[2:]:
            wanted = rows[name].min() if pd.isna(own[name]) else own[name]
            rows = rows[(rows[name] - wanted).abs() == (rows[name] - wanted).abs().min()]
        place = {"x": names[0], "y": names[min(1, len(names) - 1)]}
        parts.append(rows.assign(panel=arm, **{axis: rows[name] for axis, name in place.items()}))
        if own.notna().all():
            marks.append({"panel": arm, **{axis: own[name] for axis, name in place.items()}})
    return pd.concat(parts), pd.DataFrame(marks, columns=["panel", "x", "y"])


def _skill_said(results: Results) -> str:
    skill = named(results, "search_skill")
    if skill.empty:
        return ""
    weighted = skill.assign(loss=skill["brier"] * skill["patients"]).groupby("model", sort=False)
    brier = weighted["loss"].sum() / weighted["patients"].sum()
    said = ", ".join(f"{model} {value:.3f}" for model, value in brier.items())
    return (
        f"Brier score in held-out points: {said}; p = {number(skill['p_design'].max())} that designs without "
        "effect do as well (permutations)."
    )


def _calibration_figure(results: Results, chosen: pd.DataFrame) -> list[Figure]:
    table = named(results, "search_calibration")
    if table.empty:
        return []
    used = chosen.drop_duplicates("arm").set_index("arm")["models"]
    shown = [model in used[arm].split("+") for arm, model in zip(table["arm"], table["model"], strict=True)]
    table = table[shown]
    caption = (
        "What was foreseen of held-out points against what came of them, "
        f"{int(table.groupby(['arm', 'model'])['rows'].sum().max()):,} patients in bins of equally many; "
        "lines: Wilson's 90 % interval between patients. On the diagonal the surrogate is right."
    )
    chart = figures.calibration(table.assign(panel=table["arm"] + ", " + table["model"]))
    name = "Dots of shares seen against shares foreseen."
    return [Figure("trial-calibration", "Calibration of the surrogate", caption, name, chart)]


def _futility_table(results: Results) -> list[TextTable]:
    stopping = named(results, "stopping")
    rules = stopping[stopping["rule"].isin(["futility", "both"])] if not stopping.empty else stopping
    if rules.empty:
        return []
    rows = [
        [
            f"{row.arm} against {row.control}",
            "futility" if row.rule == "futility" else "futility and safety",
            row.scenario,
            f"{row.n_arm:,.0f}",
            "" if pd.isna(row.stop) else percent(row.stop),
            percent(row.stopped),
            "" if pd.isna(row.significant) else percent(row.significant),
            "" if pd.isna(row.significant_without) else percent(row.significant_without),
            f"{row.expected_patients:,.0f} of {row.planned_patients:,.0f}",
        ]
        for row in rules.itertuples()
    ]
    limit = percent(asked_of(results)["futility"]["limit"])
    caption = (
        "The trial is given up at a look if the predictive probability of a significant end is below "
        f"{limit}. Exact, but for both rules together, which are simulated. Significant: at the end with the "
        "rule, and without it; where there is no difference, that is the type I error."
    )
    head = [
        *("comparison", "rule", "truth", "patients of the arm", "stopped here", "stopped by now"),
        *("significant", "without rule", "patients expected"),
    ]
    return [TextTable(caption, head, rows, numbers=(3, 4, 5, 6, 7, 8), tall=len(rows) > 15)]


def _safety_figure(results: Results) -> list[Figure]:
    stopping = named(results, "stopping")
    rows = stopping[stopping["rule"].str.startswith("safety")] if not stopping.empty else stopping
    if rows.empty:
        return []
    safety = asked_of(results)["safety"]
    rule = (
        f"the posterior probability that the share is above {percent(safety['limit'])} reaches "
        f"{percent(safety['posterior'])}"
        if safety["rule"] == "posterior"
        else f"a Pocock-type bound is passed that stops falsely in {percent(safety['false_stops'])} "
        f"where the share is {percent(safety['limit'])}"
    )
    caption = (
        f"Chance that an arm has been stopped for {label(safety['event'])}, if it is stopped as soon as "
        f"{rule}; looked at after every patient from number {safety['first_patients']}. Exact at the shares "
        "named, so without an interval; the simulated share is of "
        f"{counted(results.patients, 'virtual patient')}."
    )
    arms = results.arms[:MOST_PANELS]
    chart = figures.stopping_curves(rows, arms)
    name = "Lines of the chance to have stopped against patients, a panel an arm."
    return [Figure("trial-safety", "Stopping for harm", caption, name, chart)]


def _control_table(results: Results) -> list[TextTable]:
    control, sizes = named(results, "control"), named(results, "sample_size")
    if control.empty:
        return []
    rows = []
    for (arm, past), part in control.groupby(["arm", "control"], sort=False):
        needed = sizes[(sizes["arm"] == arm) & (sizes["control"] == past) & (sizes["design"] == "one stage")]
        wanted = needed["n_arm"].iloc[0] if len(needed) else part["n_arm"].max()
        n = part.loc[(part["n_arm"] - wanted).abs().idxmin(), "n_arm"]
        rows += [
            [
                f"{row.arm} against {row.control}",
                f"{row.n_arm:,}",
                row.method,
                *(
                    percent(getattr(row, name))
                    for name in ("power", "type_one_error", "type_one_estimated", "type_one_drift")
                ),
            ]
            for row in part[part["n_arm"] == n].itertuples()
        ]
    drift = number(100 * control["drift"].iloc[0])
    caption = (
        "What a control from the past costs, one-sided and exact. Type I error: where the arm is no better "
        "than the past; where moreover the past share is an estimate of as many patients as the study names "
        f"(else as many as are treated); and where today's untreated patients do {drift} points better than "
        "the past ones."
    )
    head = [
        *("comparison", "patients", "control", "power", "type I error"),
        *("past estimated", f"drift of {drift} points"),
    ]
    return [TextTable(caption, head, rows, numbers=(1, 3, 4, 5, 6), tall=len(rows) > 15)]


def _incidence_figure(results: Results) -> list[Figure]:
    table = named(results, "incidence")
    if table.empty:
        return []
    caption = (
        "Cumulative incidence (Aalen and Johansen; an endpoint: one minus Kaplan and Meier), with patients "
        f"lost censored; n = {counted(results.patients, 'patient')} an arm at the start. Band: 90 %, between "
        "virtual patients; where none has had the event, that of none among those at risk. Transformation "
        "competes with graft failure and rescue. Axis of time: square root."
    )
    table = table.assign(event=table["event"].map(endpoint_words))
    chart = figures.incidence_curves(table, results.arms)
    name = "Steps of the cumulative share of patients with an event over months by arm."
    return [Figure("trial-incidence", "Harm over time, with competing events", caption, name, chart)]
