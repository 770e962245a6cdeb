"""Observations for the tests of formats: made by hand, drawn by hypothesis, and compared."""

import pyarrow as pa
from hypothesis import strategies as st

from hsc_pipeline.formats import CLONES, Observations
from hsc_pipeline.formats.assemble import sample_table
from hsc_pipeline.formats.names import Lineages, posid

LINEAGES = Lineages()
OTHERS = ("PoolID", "FUSIONID", "VectorID", "a note")


def observations(samples, rows, assay="fragments"):
    """Observations of samples (rows of `SAMPLES`, what is missing not stated) and rows.

    A row is sample, clone, count, and for a site its chromosome, position, strand and gene.
    """
    samples = [{"tissue": "", "marker": "", "month": None, **sample} for sample in samples]
    samples = [{"lineage": LINEAGES.of(sample["marker"]), **sample} for sample in samples]
    of = {sample["sample"]: sample for sample in samples}
    full = [(*row, "", None, "", "")[:7] if len(row) == 3 else row for row in rows]
    sample, clone, count, *place = zip(*full, strict=True) if full else [()] * 7
    columns = {"sample": sample, "clone": clone, "count": count}
    columns |= dict(zip(("chromosome", "position", "strand", "gene"), place, strict=True))
    columns |= {name: [of[s][name] for s in sample] for name in ("subject", "month", "tissue", "lineage")}
    return Observations(CLONES.build(columns), sample_table(samples), assay)


def canonical(table: pa.Table) -> list[dict]:
    """Rows in an order that no format keeps or needs."""
    return sorted(table.to_pylist(), key=lambda row: (row["sample"], row.get("clone", "")))


def assert_same(found: Observations, expected: Observations) -> None:
    assert found.assay == expected.assay
    assert canonical(found.samples) == canonical(expected.samples)
    assert canonical(found.clones) == canonical(expected.clones)


NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="\u2028\u2029"), max_size=8
).filter(lambda text: text == text.strip() and text != "NA")
FULL_NAMES = NAMES.filter(bool)
MARKERS = st.one_of(st.sampled_from(["CD15", "CD3", "CD34", "neutrophil", "MNC", ""]), NAMES)
MEASURED = st.one_of(st.none(), st.floats(0, 1e6))
SITES = st.tuples(
    st.sampled_from(["1", "22", "X", "M", "Un_KI270742v1"]), st.integers(1, 10**9), st.sampled_from("+-")
)


@st.composite
def drawn_samples(draw, least=1):
    """Rows of samples of one to three subjects."""
    names = draw(st.lists(FULL_NAMES, min_size=least, max_size=5, unique=True))
    subjects = draw(st.lists(FULL_NAMES, min_size=1, max_size=3, unique=True))
    samples = []
    for name in names:
        marker = draw(MARKERS)
        samples.append(
            {
                "sample": name,
                "subject": draw(st.sampled_from(subjects)),
                "month": draw(st.one_of(st.none(), st.floats(0, 600), st.integers(0, 600).map(float))),
                "tissue": draw(NAMES),
                "marker": marker,
                "lineage": draw(st.sampled_from([LINEAGES.of(marker), "other"])),
                "replicate": draw(st.sampled_from(["", "1", "2"])),
                "trial": draw(NAMES),
                "dna_ng": draw(MEASURED),
                "vcn": draw(MEASURED),
                "other": draw(st.dictionaries(st.sampled_from(OTHERS), FULL_NAMES, max_size=2)),
            }
        )
    return samples


@st.composite
def drawn(draw, assays, sites=True, least=0, fractional=("fragments",)):
    """Observations, of integration sites or of barcodes."""
    samples, assay = draw(drawn_samples()), draw(st.sampled_from(assays))
    if sites:
        found = draw(st.lists(SITES, min_size=1, max_size=6, unique=True))
        clones = [(posid(*site), *site, draw(NAMES)) for site in found]
    else:
        barcodes = st.text("ACGT", min_size=1, max_size=10)
        clones = [(name,) for name in draw(st.lists(barcodes, min_size=1, max_size=6, unique=True))]
    whole = st.integers(1, 2**53 - 1).map(float)
    counts = st.one_of(whole, st.floats(1e-3, 1e9)) if assay in fractional else whole
    pairs = st.tuples(st.sampled_from(samples), st.sampled_from(clones))
    key = lambda pair: (pair[0]["sample"], pair[1][0])  # noqa: E731
    chosen = draw(st.lists(pairs, min_size=least, max_size=12, unique_by=key))
    rows = [(sample["sample"], clone[0], draw(counts), *clone[1:]) for sample, clone in chosen]
    return observations(samples, rows, assay)
