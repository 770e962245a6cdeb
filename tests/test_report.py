"""The report: it fetches nothing, escapes everything, says what the tables say, and is the same twice."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from math import isnan, nan
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from scipy.stats import binomtest, quantile_test

from hsc_pipeline import intervals
from hsc_pipeline.blood import ALLELES, COUNTS, INTEGRATION_SITES, READOUTS, RECOVERY, SAMPLES
from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.engraftment import CLONE_SIZES, DRIVER_CLONES, GRAFTS, MARROW, TRANSFORMATIONS
from hsc_pipeline.immunity import TABLES as IMMUNITY
from hsc_pipeline.immunity.ranges import SCORE_RANGES
from hsc_pipeline.intervals import (
    independent_difference,
    median_interval,
    paired_share_difference,
    wilson,
)
from hsc_pipeline.models import compare_to_baseline, fit_surrogates
from hsc_pipeline.outcomes import summarise
from hsc_pipeline.plan import EVENTS, PATIENTS
from hsc_pipeline.product import CLONES, DRIVERS, PRODUCTS, SITES
from hsc_pipeline.report import head_of, write_report
from hsc_pipeline.report import results as results_module
from hsc_pipeline.report.figures.common import NARROW_WIDTH, NUMBERS, SPACING, grid
from hsc_pipeline.report.figures.endpoints import protection_over_time
from hsc_pipeline.report.page import by_column, render, script_json
from hsc_pipeline.report.results import MOST_ARMS, read_results
from hsc_pipeline.report.sections import assumptions, design, drivers
from hsc_pipeline.report.style import PALETTE
from hsc_pipeline.report.summary import contrast, sentences
from hsc_pipeline.report.wording import number, with_interval
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from hsc_pipeline.tables import write

HOSTILE = "<script>alert(1)</script>"
TABLES = {
    table.name: table
    for table in (
        *(PATIENTS, EVENTS, PRODUCTS, CLONES, SITES, DRIVERS),
        *(MARROW, CLONE_SIZES, GRAFTS, DRIVER_CLONES, TRANSFORMATIONS),
        *(COUNTS, RECOVERY, READOUTS, SAMPLES, INTEGRATION_SITES, ALLELES),
        *IMMUNITY.values(),
        SCORE_RANGES,
    )
}
# Few clones, so that three patients take no time.
STUDY = {
    "kind": "study",
    "schema_version": 1,
    "name": "tiny",
    "title": "Does half the dose do?",
    "seed": 3,
    "disease": "was",
    "patients": 3,
    "visits_months": [1, 6, 12, 24],
    "set": {"product.lt_hsc_per_cd34": 2e-6},
    "arms": [{"name": "full"}, {"name": "half_dose", "set": {"product.cd34_per_kg": 4.5e6}}],
}


def simulate(folder: Path, content: Mapping, drop: Sequence[str] = ()) -> tuple[list[str], dict]:
    """Leave a finished run in `folder`; return arms and files as `write_report` takes them.

    `drop` names tables that are left empty.
    """
    study, files, rows = load_study(content), {name: [] for name in TABLES}, []
    for arm in study.arms:
        tables = simulate_arm(study, arm) | {"score_ranges": made_up_ranges()}
        tables |= {name: TABLES[name].schema.empty_table() for name in drop}
        for name, table in tables.items():
            files[name].append(str(folder / arm / f"{name}.parquet"))
            write(files[name][-1], table)
        rows.append(summarise(arm, tables, Settings(**study.settings("outcomes", arm)))["outcomes"])
    files |= {"answers": [], "study": str(folder / "study.yaml")}
    files["outcomes"] = str(folder / "outcomes.parquet")
    write(files["outcomes"], pa.concat_tables(rows))
    for name, frame in fit_surrogates(pa.concat_tables(rows).to_pandas(), study.file.seed).items():
        files["answers"].append(str(folder / f"{name}.csv"))
        frame.to_csv(files["answers"][-1], index=False)
    Path(files["study"]).write_text(yaml.safe_dump(study.as_dict(), sort_keys=False), encoding="utf-8")
    return list(study.arms), files


def made_up_ranges() -> pa.Table:
    """Bands of three scores, one of which nothing moves: as `range_scores` would leave them."""
    rows = [
        ("composite", 60.0, 40.0, 80.0, 0.9),
        ("defence", 90.0, 70.0, 95.0, 0.2),
        ("t_cells", 100.0, 100.0, 100.0, None),
    ]
    columns = dict(
        zip(("score", "value", "low", "high", "assumed_share"), zip(*rows, strict=True), strict=True)
    )
    same = {"patient": 0, "month": 24.0, "values": 9, "assumed_values": 5, "draws": 48}
    return SCORE_RANGES.build(
        {
            **columns,
            "assumed_low": columns["low"],
            "assumed_high": columns["value"],
            **{name: [value] * len(rows) for name, value in same.items()},
        }
    )


def read_study(files: Mapping) -> dict:
    """Return the content of study.yaml."""
    return yaml.safe_load(Path(files["study"]).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[list[str], dict]:
    """Two arms of three patients."""
    return simulate(tmp_path_factory.mktemp("run"), STUDY)


@pytest.fixture(scope="module")
def lone_page(tmp_path_factory) -> str:
    """Report of one arm of one patient, whose graft fails and whose blood nobody sequenced."""
    folder = tmp_path_factory.mktemp("lone")
    content = {
        **STUDY,
        "title": "",
        "patients": 1,
        "arms": STUDY["arms"][:1],
        "set": {"product.lt_hsc_per_cd34": 1e-9},
    }
    arms, files = simulate(folder, content, drop=["integration_sites"])
    write_report(folder / "report.html", arms, files)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(run, lone_page, tmp_path_factory) -> str:
    """Report of two arms, the second that this process makes: counters of libraries have moved on."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, *run)
    return path.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """What a test asks of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._open = [""]
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        self._open.append(tag)

    def handle_endtag(self, tag):
        self._open.append("")

    def handle_data(self, data):
        if self._open[-1] == "script":
            self.scripts[-1] += data
        elif self._open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict]:
        """Attributes of all elements of this name."""
        return [attributes for name, attributes in self.elements if name == tag]


def words(page: str) -> str:
    """Return the text of a page, with plain spaces."""
    return re.sub(r"\s+", " ", " ".join(Reader(page).text))


def test_page_fetches_nothing(page, lone_page):
    for one in (page, lone_page):
        reader = Reader(one)
        for tag, attributes in reader.elements:
            for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href", "formaction"):
                assert attributes.get(name, "#").startswith("#"), (tag, name, attributes[name])
            outside = [
                value for name, value in attributes.items() if "//" in (value or "") and "xmlns" not in name
            ]
            assert not outside, (tag, outside)
        style = re.search(r"<style>(.*?)</style>", one, re.DOTALL).group(1)
        assert not re.search(r"url\(|@import", style)


def test_policy_allows_the_page_its_own_scripts_and_nothing_else(page):
    reader = Reader(page)
    policy = next(meta["content"] for meta in reader.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; ")
    allowed = re.search(r"script-src ([^;]*);", policy).group(1).split()
    kinds = [attributes.get("type") for attributes in reader.all("script")]
    run_by_browser = [text for text, kind in zip(reader.scripts, kinds, strict=True) if kind is None]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run_by_browser]
    assert allowed == [f"'sha256-{digest}'" for digest in digests]
    assert kinds.count("application/json") == 1


def test_same_tables_make_the_same_bytes_in_another_process(run, page, tmp_path):
    code = (
        "import json, sys; from hsc_pipeline.report import write_report; write_report(*json.load(sys.stdin))"
    )
    path = tmp_path / "again.html"
    subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([str(path), *run]),
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1234"},
    )
    assert hashlib.sha256(path.read_bytes()).hexdigest() == hashlib.sha256(page.encode()).hexdigest()


def test_texts_of_a_study_file_are_escaped(run):
    arms, files = run
    study = read_study(files)
    study["title"] = study["disease_title"] = study["name"] = HOSTILE
    study["arms"][1]["description"] = HOSTILE
    for value in study["values"].values():
        value["source"] = value["meaning"] = HOSTILE
    results = read_results(study, arms, files)
    # The sections that hold a user's texts, without figures, which hold none and take time.
    sections = [
        replace(section, blocks=[block for block in section.blocks if block.kind != "figure"])
        for section in (
            part(results) for part in (design.question, assumptions.assumed, assumptions.provenance)
        )
    ]
    page = render(head_of(results), sections)
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)") > 50
    assert len(Reader(page).all("script")) == 3
    assert "alert(1)" in json.loads(Reader(page).scripts[0])["study"]


def test_json_cannot_end_its_script_element():
    content = {"a": "</script><!--<script>&", "b": [1.5, None]}
    text = script_json(content)
    assert not set("<>&") & set(text)
    assert json.loads(text) == content


def test_json_refuses_what_no_browser_reads():
    with pytest.raises(ValueError, match="JSON"):
        script_json({"a": nan})


def test_every_figure_has_caption_label_drawing_and_specification(page, lone_page):
    for one, least in ((page, 15), (lone_page, 8)):
        figures = re.findall(r"<figure data-name=\"([^\"]+)\".*?</figure>", one, re.DOTALL)
        parts = re.findall(r"<figure.*?</figure>", one, re.DOTALL)
        assert len(set(figures)) == len(parts) >= least
        for part in parts:
            assert re.search(r"<h3>\S.*?</h3>", part)
            assert len(re.search(r"<figcaption>(.*?)</figcaption>", part, re.DOTALL).group(1)) > 60
            assert len(re.search(r'role="img" aria-label="([^"]+)"', part).group(1)) > 20
            assert re.search("<svg.*<path.*</svg>", part, re.DOTALL)
            assert not re.search("NaN|undefined", part)
        data = json.loads(Reader(one).scripts[0])
        assert list(data["figures"]) == figures
        for layouts in data["figures"].values():
            used = set(re.findall(r'"name": "(data-[0-9a-f]+)"', json.dumps(layouts)))
            assert used <= data["data"].keys()
            assert all(data["data"][name] and all(data["data"][name].values()) for name in used)


def test_identifiers_are_unique(page):
    identifiers = [attributes["id"] for _, attributes in Reader(page).elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert set(re.findall(r"url\(#([^)]+)\)", drawn)) <= set(identifiers)


def test_headings_go_down_one_step_at_a_time(page):
    levels = [int(tag[1]) for tag, _ in Reader(page).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert 'lang="en"' in page


def test_lone_patient_without_graft_or_sites_has_a_report(lone_page):
    said = words(lone_page)
    assert "tiny" in said
    assert "too few patients for an interval" in said
    assert "Fewer than ten patients" in said
    assert "No integration site was sequenced" in said
    assert "graft failed in 1 of 1" in said
    assert "Against" not in said.split("Question and design")[0]


def test_summary_says_what_the_outcomes_say(run, page):
    outcomes = pd.read_parquet(run[1]["outcomes"])
    full, half = (outcomes[outcomes["arm"] == arm].sort_values("patient") for arm in run[0])
    said = words(page)
    reached = int(full["benefit"].sum())
    assert f"At month 24, {reached} of 3 virtual patients of full" in said
    for column, before in (("benefit", "benefit, "), ("t_protected", "interval for age in ")):
        n = int(full[column].sum())
        share = binomtest(n, 3).proportion_ci(0.90, "wilson")
        shown = f"{number(100 * n / 3)} % ({number(100 * share.low)}–{number(100 * share.high)})"
        assert f"{before}{shown}" in said, column
    change = 100 * (half["benefit"].mean() - full["benefit"].mean())
    assert (
        f"half dose changes the share with benefit by {number(change, signed=True)} percentage points" in said
    )
    score = np.median(half["immune_score"].to_numpy() - full["immune_score"].to_numpy())
    assert f"competence score by {number(score, signed=True)} points" in said
    for column in ("vcn_neutrophil", "cd4_per_ul", "immune_score"):
        low, middle, high = np.quantile(full[column], [0.05, 0.5, 0.95])
        assert f"{number(middle)} ({number(low)}–{number(high)})" in said, column
    assert f"{number(full['immune_score'].median())} of 100" in said


def test_summary_pairs_patients_unless_arms_are_independent():
    patients = np.arange(40)
    first = pd.DataFrame({"arm": "a", "patient": patients, "immune_score": patients * 1.0})
    both = pd.concat([first, first.assign(arm="b", immune_score=first["immune_score"] + 2)])
    paired, apart = (contrast(both, "immune_score", "a", "b", independent) for independent in (False, True))
    assert paired == (2, 2, 2)
    assert apart.value == 2
    assert apart.low < -5
    assert apart.high > 9


def test_many_arms_are_cut_and_said_to_be(run, monkeypatch):
    monkeypatch.setattr(results_module, "MOST_ARMS", 1)
    monkeypatch.setattr(design, "MOST_ARMS", 1)
    arms, files = run
    results = read_results(read_study(files), arms, files)
    assert results.arms == ["full"]
    assert set(results.outcomes["arm"]) == {"full"}
    texts = [block.text for block in design.question(results).blocks if block.kind == "text"]
    assert any("the first 1 of 2 arms" in text for text in texts)


def test_arms_beyond_the_palette_are_told_apart_by_dashes():
    arms = [f"arm {i}" for i in range(MOST_ARMS)]
    curve = pd.DataFrame({"arm": arms, "month": 12.0, "share": 50.0, "n": 1})
    spec = protection_over_time(curve, arms).to_dict()
    encoding = spec["concat"][0]["layer"][0]["encoding"]
    scales = [encoding[channel]["scale"] for channel in ("color", "strokeDash")]
    assert [scale["domain"] for scale in scales] == [arms, arms]
    looks = {(colour, tuple(dashes)) for colour, dashes in zip(*(s["range"] for s in scales), strict=True)}
    assert len(looks) == MOST_ARMS > len(PALETTE)


def test_narrow_figures_keep_to_the_width_of_a_telephone():
    panels = [alt.Chart(pd.DataFrame({"x": [1.0]})).mark_tick().encode(alt.X("x:Q"))] * 3
    for most, columns in ((1, 1), (2, 2)):
        layout = grid(panels, 3, 100, narrow=most).to_dict()["usermeta"]
        assert layout["columns"] == columns
        assert 250 < columns * (layout["width"] + NUMBERS) + SPACING * (columns - 1) <= NARROW_WIDTH


def test_columns_of_few_texts_are_kept_once():
    rows = [
        {"arm": "a", "x": 1.0},
        {"arm": "b", "x": 1.23456},
        {"arm": "a", "x": None},
        {"arm": "a", "x": 0.5},
    ]
    assert by_column(rows) == {
        "arm": {"levels": ["a", "b"], "codes": [0, 1, 0, 0]},
        "x": [1, 1.235, None, 0.5],
    }


def test_wilson_agrees_with_scipy():
    for successes, n in ((0, 1), (1, 1), (0, 60), (46, 60), (60, 60), (333, 1000)):
        theirs = binomtest(successes, n).proportion_ci(0.90, "wilson")
        assert wilson(successes, n) == pytest.approx((successes / n, theirs.low, theirs.high), abs=1e-12)


def test_median_interval_agrees_with_scipy():
    rng = np.random.default_rng(1)
    for n in (5, 6, 17, 60, 301):
        values = rng.lognormal(size=n)
        theirs = quantile_test(values, q=np.median(values), p=0.5).confidence_interval(0.90)
        assert median_interval(values)[1:] == pytest.approx((theirs.low, theirs.high))


def test_median_of_few_has_no_interval():
    for n in (1, 4):
        found = median_interval(np.arange(n))
        assert not isnan(found.value)
        assert with_interval(found, "points") == f"{number(found.value)} points"
    assert isnan(median_interval([]).value)


def test_independent_difference_agrees_with_newcombe_1998(monkeypatch):
    monkeypatch.setattr(intervals, "Z", 1.959964)  # table II, row (a), method 10: 56/70 against 48/80
    found = independent_difference(wilson(48, 80), wilson(56, 70))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_paired_difference_covers_the_truth():
    rng, n, covered = np.random.default_rng(2), 60, 0
    both, gained, lost = 0.5, 0.15, 0.05
    for _ in range(2000):
        draw = rng.random(n)
        reference = (draw < both) | ((draw >= both + gained) & (draw < both + gained + lost))
        other = draw < both + gained
        found = paired_share_difference(reference, other)
        covered += found.low <= gained - lost <= found.high
        assert found.value == pytest.approx(other.mean() - reference.mean())
        assert found.low < found.value < found.high
    # 0.90 and four standard errors of 2000 draws
    assert 0.90 - 0.027 < covered / 2000 < 0.90 + 0.05


def test_paired_difference_has_width_without_discordant_pairs():
    found = paired_share_difference([True] * 20, [True] * 20)
    assert found.value == 0
    assert found.low < -0.05 < 0.05 < found.high


def test_verdict_on_the_surrogate_follows_the_numbers():
    def said(surrogate: float, linear: float = 0.3) -> str:
        rows = [
            {"target": "immune_score", "model": model, "fold": fold, "skill": skill + 0.01 * (fold % 2)}
            for fold in range(5)
            for model, skill in (
                ("constant", -0.1),
                ("linear", linear),
                ("closed_form", linear),
                ("surrogate", surrogate * (1 + 0.01 * fold)),
            )
        ]
        rows = pd.DataFrame(rows)
        once = rows[rows["model"] != "surrogate"]
        repeats = pd.concat([once.assign(fold=once["fold"] + 5 * again) for again in range(10)])
        return " ".join(drivers.verdict(compare_to_baseline(rows, repeats)))

    assert "is better than every baseline for immune competence score" in said(0.6)
    assert "is not better than its baselines for any" in said(0.3)
    assert "foretells immune competence score" in said(0.2)
    assert "For immune competence score, no model was shown to do better" in said(-0.2, linear=-0.3)


def test_numbers_read_well():
    assert number(1387.2) == "1,390"
    assert number(0.0123) == "0.012"
    assert number(-5, signed=True) == "−5"
    assert number(0.94, signed=True) == "+0.94"
    assert number(-0.0) == "0"
    assert number(77.3) == "77"


def test_sentences_are_three(run):
    outcomes = pd.read_parquet(run[1]["outcomes"])
    for arms in (["full"], ["full", "half_dose"]):
        assert len(sentences(outcomes[outcomes["arm"].isin(arms)], arms, independent=False)) == 3


def test_the_page_says_when_the_composite_rests_on_assumptions(page):
    """The made-up band is nine tenths assumed; a score that nothing moves is not drawn."""
    assert "lies between 40 to 80; 90 % of that band's variance" in words(page)
    assert "rests mostly on assumptions" in words(page)


def test_twins_stand_beside_the_arms(page):
    text = words(page)
    assert text.count("healthy twin") >= 3
    assert text.count("untreated twin") >= 3
