"""How sure the answers are, and which values of the catalogue they hang on."""

from collections.abc import Iterator

import pandas as pd

from hsc_pipeline.intervals import Estimate
from hsc_pipeline.report.figures import uncertainty as figures
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.style import label
from hsc_pipeline.report.summary import MEASURES, Measure
from hsc_pipeline.report.wording import counted, interval, listed, number, with_interval

TITLE = "How sure, and of what"
SAID = ("benefit", "t_protected")
DRAWN = (
    "benefit",
    "t_protected",
    "immune_score",
    "stem_cell_chimerism",
    "vcn_neutrophil",
    "corrected_t_cells",
)
PRIMARY = "primary endpoints"
MOST_ARMS_SAID, MOST_VALUES, MOST_RANKED = 3, 8, 12
OWN_NAMES = {"months_to_infusion": Measure("months_to_infusion", "time to infusion", "months")}
SPANS = {"patients": "between patients", "monte_carlo": "Monte Carlo", "catalogue": "uncertain values"}
RANGES = {"catalogue": "the catalogue's ranges", "posterior": "the posterior"}


def uncertainty(results: Results) -> Section:
    """Return the section on whose uncertainty the intervals span, and on what they hang."""
    table = results.answers["uncertainty"]
    if table.empty:
        note = "No draws of the catalogue's uncertain values were asked for."
        return Section("uncertainty", "How sure", TITLE, [Text(note, quiet=True)])
    table = table.assign(
        arm=table["arm"].map(label), reference=table["reference"].fillna("").astype(str).map(label)
    )
    table = table[table["arm"].isin(results.arms)]
    lead = [*_how_sure(table), *_differences(table), *_followed(results)]
    blocks = [Text(_how(table), quiet=True), _intervals_figure(table, results), _sources_table(table)]
    return Section("uncertainty", "How sure", TITLE, [*blocks, *_sensitivity_blocks(results)], lead=lead)


def _measure(endpoint: str) -> Measure:
    return MEASURES.get(endpoint) or OWN_NAMES[endpoint]


def _span(row: pd.Series, span: str, scale: float) -> Estimate:
    ends = (row["estimate"], row[f"{span}_low"], row[f"{span}_high"])
    return Estimate(*(float(end) for end in ends)).times(scale)


def _how_sure(table: pd.DataFrame) -> Iterator[str]:
    """Say of the first arm what is reached, and how far each interval reaches."""
    over = RANGES[table["ranges"].iloc[0]]
    first = table[(table["arm"] == table["arm"].iloc[0]) & (table["reference"] == "")]
    for endpoint in SAID:
        row, measure = first[first["endpoint"] == endpoint].iloc[0], _measure(endpoint)
        chance, values = (_span(row, span, measure.scale) for span in ("monte_carlo", "catalogue"))
        said = f"{measure.name[0].upper()}{measure.name[1:]} in {row['arm']}: {number(chance.value)} %."
        said += f" {counted(int(row['patients']), 'virtual patient')} leave {interval(chance)} % open"
        if interval(values):
            yield f"{said}; {over} leave {interval(values)} %."
        else:
            yield f"{said}; {counted(int(row['draws']), 'draw')} are too few to say what {over} leave."


def _differences(table: pd.DataFrame) -> Iterator[str]:
    """Say of the first arms whether their difference in benefit survives the ranges."""
    rows = table[(table["reference"] != "") & (table["endpoint"] == SAID[0])]
    for _, row in rows.head(MOST_ARMS_SAID).iterrows():
        chance, values = (_span(row, span, 100) for span in ("monte_carlo", "catalogue"))
        if not interval(values):
            continue
        holds = values.low > 0 or values.high < 0
        kept = "its sign holds whatever the values" if holds else "its sign hangs on the values"
        yield (
            f"{row['arm']} against {row['reference']} changes benefit by "
            f"{with_interval(chance, 'percentage points', signed=True)}; over "
            f"{RANGES[row['ranges']]} the change runs from {interval(values, signed=True)}: {kept}."
        )


def _followed(results: Results) -> Iterator[str]:
    """Say which values the outcomes follow, by the draws and by the sweep."""
    ranked, fits = results.answers["worth_measuring"], results.answers["sensitivity_surrogates"]
    for source, what in (("uncertainty", "draws"), ("sweep", "points of the sweep")):
        asked = fits[fits["source"] == source] if len(fits) else fits
        if asked.empty:
            continue
        n, values = int(asked["points"].max()), int(asked["parameters"].max())
        found = ranked[(ranked["source"] == source) & (ranked["outcome"] == PRIMARY)]
        if found.empty:
            yield (
                f"Of {values:,} values that vary over {n:,} {what}, none can be told to drive benefit, "
                "T-cell protection or the immune score: "
                + ("hundreds of draws are needed." if n < values else "their effects are within chance.")
            )
            continue
        named = [
            f"{row['parameter']} ({row['evidence']}, {number(100 * row['index'])} %)"
            for row in _first(found, 3)
        ]
        verb = "Most worth measuring better" if source == "uncertainty" else "What the sweep turns on"
        yield (
            f"{verb}, of {values:,} values over {n:,} {what}: {listed(named)}; in brackets evidence and "
            "share of the variance, mean over benefit, T-cell protection, immune score and arms."
        )


def _first(table: pd.DataFrame, most: int) -> list[dict]:
    return table.sort_values("rank").head(most).to_dict("records")


def _how(table: pd.DataFrame) -> str:
    row = table.iloc[0]
    failed = int(table["failed_draws"].max())
    lost = f" {counted(failed, 'draw')} left out as impossible." if failed else ""
    return (
        "Intervals are 90 % and span one thing each. Between patients: the 5th to 95th centile of the "
        "study's patients. Monte Carlo: what so many virtual patients leave open of the estimate. "
        f"{RANGES[row['ranges']].capitalize()}: where the estimate of a very large study would lie, were the "
        f"uncertain values others, from {counted(int(row['draws']), 'draw')} of all of them together with "
        f"{counted(int(row['patients_per_draw']), 'patient')} an arm each; the noise of so few patients is "
        f"taken off, and the uncertainty of so few draws put on.{lost}"
    )


def _intervals_figure(table: pd.DataFrame, results: Results) -> Figure:
    rows = []
    for _, row in table[(table["reference"] == "") & table["endpoint"].isin(DRAWN)].iterrows():
        measure = _measure(row["endpoint"])
        for span, name in SPANS.items():
            found = _span(row, span, measure.scale)
            if interval(found):
                text = with_interval(found, measure.unit)
                own = {"endpoint": measure.name, "unit": measure.unit, "arm": row["arm"], "span": name}
                rows.append({**own, **found._asdict(), "text": text})
    drawn, first = pd.DataFrame(rows), table.iloc[0]
    caption = (
        "Dot: share of patients, or their median, under the catalogue's values. Lines: 90 % intervals "
        "between patients (of numbers only), Monte Carlo, and over "
        f"{RANGES[first['ranges']]}. n = {results.patients:,} virtual patients an arm; "
        f"{counted(int(first['draws']), 'draw')} with {int(first['patients_per_draw'])} patients."
    )
    return Figure(
        "whose-uncertainty",
        "Three kinds of uncertainty",
        caption,
        "Lines of three intervals of six endpoints by arm.",
        figures.intervals(drawn, results.arms, figures.SPANS),
    )


def _sources_table(table: pd.DataFrame) -> TextTable:
    rows = []
    for _, row in table.iterrows():
        measure = _measure(row["endpoint"])
        signed, unit = row["reference"] != "", measure.unit
        if signed and unit == "%":
            unit = "percentage points"
        chance, values = (_span(row, span, measure.scale) for span in ("monte_carlo", "catalogue"))
        parts = [row[f"{span}_share"] for span in SPANS]
        who = f"{row['arm']} against {row['reference']}" if signed else row["arm"]
        shares = ["none" if pd.isna(part) else number(100 * part) for part in parts]
        spans = [interval(found, signed) or "none" for found in (chance, values)]
        named = f"{measure.name}, {unit}" if unit else measure.name
        rows.append([who, named, number(chance.value, signed), *spans, *shares])
    caption = (
        "Each endpoint with its Monte-Carlo interval and that over the ranges, 90 %; then the shares, in per "
        "cent, of the variance with which this study foretells one more patient: differences between "
        "patients, Monte Carlo, and the uncertain values. None: nobody differed, or too few draws."
    )
    head = ["arm", "endpoint", "estimate", "Monte Carlo", "ranges", "patients %", "Monte Carlo %", "values %"]
    return TextTable(caption, head, rows, numbers=(2, 3, 4, 5, 6, 7), tall=True)


def _sensitivity_blocks(results: Results) -> Iterator[Figure | TextTable]:
    table, ranked = results.answers["sensitivity"], results.answers["worth_measuring"]
    if len(ranked):
        evidence = ranked.drop_duplicates("parameter").set_index("parameter")["evidence"]
        for source in ranked["source"].unique():
            figure = _indices_figure(table[table["source"] == source], evidence, source)
            if figure:
                yield figure
        yield _ranked_table(ranked)
    fits = results.answers["sensitivity_surrogates"]
    if len(fits):
        yield _fits_table(fits, results)


def _indices_figure(table: pd.DataFrame, evidence: pd.Series, source: str) -> Figure | None:
    """Return the figure of the resolved values of the first arm, or None."""
    first = table[(table["arm"] == table["arm"].iloc[0]) & table["resolved"] & table["outcome"].isin(DRAWN)]
    if first.empty:
        return None
    total = first["st"].notna()
    drawn = first.assign(
        index=first["st"].where(total, first["s1"]),
        low=first["st_low"].where(total, first["s1_low"]),
        high=first["st_high"].where(total, first["s1_high"]),
        evidence=first["parameter"].map(evidence),
    )
    drawn = drawn.sort_values("index", ascending=False).groupby("outcome", sort=False).head(MOST_VALUES)
    drawn = drawn.assign(outcome=drawn["outcome"].map(lambda name: _measure(name).name))
    caption = (
        f"Arm {label(table['arm'].iloc[0])}. Bar: total index, the share of the variance between points "
        "that a value has a part in, noise of patients taken off; tick: first-order index, what it does "
        "alone. Where no surrogate foresees the outcome, the bar is the first-order index. Line: 90 % "
        "interval; its upper end holds what the surrogate leaves unexplained. Only values beyond "
        "chance are drawn, with a 5 % chance of any false one in all outcomes and arms together."
    )
    return Figure(
        f"indices-{source}",
        "What the outcomes follow over the uncertain values"
        if source == "uncertainty"
        else "What the outcomes follow over the sweep",
        caption,
        "Bars of Sobol indices by outcome and value.",
        figures.indices(drawn[["outcome", "parameter", "index", "low", "high", "s1", "evidence"]]),
    )


def _ranked_table(ranked: pd.DataFrame) -> TextTable:
    rows = []
    chosen = ranked[ranked["outcome"] == PRIMARY]
    for source in chosen["source"].unique():
        for row in _first(chosen[chosen["source"] == source], MOST_RANKED):
            reference = "" if pd.isna(row["reference"]) else str(row["reference"])
            cells = [source, str(row["rank"]), row["parameter"], number(100 * row["index"])]
            rows.append([*cells, row["evidence"], reference])
    caption = (
        "Values that the primary endpoints follow, by index times what measuring is worth: assumed values "
        "count whole, derived three quarters, computed and published half, what the study itself sets "
        "nothing. Index: share of the variance in per cent, mean over benefit, T-cell protection, immune "
        "score and arms, 0 where not beyond chance."
    )
    return TextTable(caption, ["points", "rank", "value", "index %", "evidence", "source"], rows, (1, 3))


def _fits_table(fits: pd.DataFrame, results: Results) -> TextTable:
    rows = []
    for _, row in fits[fits["arm"].map(label).isin(results.arms)].iterrows():
        r2 = "none" if pd.isna(row["r2"]) else number(row["r2"])
        cells = [row["source"], label(row["arm"]), _measure(row["outcome"]).name, r2]
        noise = "none" if pd.isna(row["patients_noise"]) else number(100 * row["patients_noise"])
        rows.append([*cells, noise, number(100 * row["unexplained"]), str(row["resolved"]), row["verdict"]])
    caption = (
        "How far the indices can be trusted. R²: of points that the surrogate has not seen, choice of values "
        "and of surrogate included. Noise: share of the variance between points that is due to their few "
        "patients. Unexplained: share of the rest that the surrogate misses. Resolved: values beyond chance."
    )
    head = ["points", "arm", "outcome", "R²", "noise %", "unexplained %", "resolved", "verdict"]
    return TextTable(caption, head, rows, (3, 4, 5, 6), tall=True)
