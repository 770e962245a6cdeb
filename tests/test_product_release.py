"""Release data in place of the model's draw: clones like the colonies, alleles and sites as measured."""

import gzip
import zipfile

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.errors import UserError
from hsc_pipeline.product import make_products
from hsc_pipeline.product.editing import long_term_alleles
from hsc_pipeline.product.measured import Measured
from hsc_pipeline.product.release import read_release
from hsc_pipeline.product.vector import draw_copies
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from tests.edits import edited
from tests.statistics_of import LEAST_P, LIMIT, z_of_mean, z_of_share, z_of_variance

COLONIES = [[0, 60], [1, 20], [3, 15], [7, 5]]  # copies, colonies
SITES = [
    ["1", 1000, "+", "MECOM", 1],
    ["X", 2000, "-", "", 3],
    ["22", 3000, "+", "KDM2A", 6],
]
FIXED = {"product.cd34_ln_sd": 0, "product.lt_hsc_log10_sd": 0, "drivers.per_cell_year": 0}


def measured(settings, **data):
    return Settings(settings.values, settings.tables, {"product_data": data})


def product_of(patient, settings):
    return next(make_products([patient], settings))


def test_clones_are_like_the_colonies(patient, settings_for):
    """Each class of copies with its share, the product's row with its means; fails if 13 % off in a class."""
    settings = measured(settings_for("product", FIXED | {"product.lt_copies_ratio": 1}), copies=COLONIES)
    made = product_of(patient, settings)
    row = made["products"].to_pylist()[0]
    copies = np.zeros(row["lt_hsc"], int)
    copies[: made["clones"].num_rows] = made["clones"]["copies"].to_numpy()
    assert set(copies) == {0, 1, 3, 7}
    for number, colonies in COLONIES:
        assert abs(z_of_share(copies == number, colonies / 100)) < LIMIT
        assert abs(z_of_share(copies == number, 1.13 * colonies / 100)) > LIMIT
    mean = sum(c * n for c, n in COLONIES) / 100
    assert row["mean_copies"] == pytest.approx(mean)
    assert row["corrected_fraction"] == pytest.approx(0.4)
    assert row["copies_per_corrected"] == pytest.approx(mean / 0.4)


def test_long_term_cells_have_fewer_copies_than_the_colonies(patient, settings_for):
    """Each copy kept with the ratio: the mean times it; fails if the drop were left out, or 7 % off."""
    settings = measured(settings_for("product", FIXED | {"product.lt_copies_ratio": 0.5}), copies=COLONIES)
    made = product_of(patient, settings)
    row = made["products"].to_pylist()[0]
    copies = np.zeros(row["lt_hsc"])
    copies[: made["clones"].num_rows] = made["clones"]["copies"].to_numpy()
    assert abs(z_of_mean(copies, 0.5 * 1.0)) < LIMIT
    assert abs(z_of_mean(copies, 0.5 * 1.07)) > LIMIT
    assert row["mean_copies"] == pytest.approx(1.0)


def test_thinned_copies_keep_their_dispersion():
    """A negative binomial thinned by r has mean r m and the same k: variance/mean 1 + r m / k; so measured
    and modelled products lose copies alike.  Fails if the variance were 10 % off."""
    copies = draw_copies(np.random.default_rng(2), 2.0, 1.2, 200_000)
    number, colonies = np.unique(copies, return_counts=True)
    data = Measured(Settings({}, {}, {"product_data": {"copies": list(zip(number, colonies, strict=True))}}))
    thinned = data.draw_copies(3, 200_000, 0.5)
    variance = 1.0 * (1 + 1.0 / 1.2)
    assert abs(z_of_mean(thinned, 1.0)) < LIMIT
    assert abs(z_of_variance(thinned, variance)) < LIMIT
    assert abs(z_of_variance(thinned, 1.1 * variance)) > LIMIT


def test_sites_are_those_measured_by_their_weight(patient, settings_for):
    """Place, strand and gene together; the class from the gene table; fails if a weight were 10 % off."""
    settings = measured(settings_for("product", FIXED), sites=SITES)
    sites = product_of(patient, settings)["sites"].to_pandas()
    found = sites.groupby(["chromosome", "position", "strand", "gene", "gene_class"]).size()
    expected = {
        ("1", 1000, "+", "MECOM", "oncogene"): 1,
        ("X", 2000, "-", "", ""): 3,
        ("22", 3000, "+", "KDM2A", "hot_spot"): 6,
    }
    assert set(found.index) == set(expected)
    law = np.array([expected[place] for place in found.index]) / 10
    assert stats.chisquare(found, law * len(sites)).pvalue > LEAST_P
    off = law * np.where(found.index.get_level_values("chromosome") == "X", 1.1, 1)
    assert stats.chisquare(found, off / off.sum() * len(sites)).pvalue < LEAST_P


def test_measured_sites_change_no_copies(patient, settings_for):
    settings = settings_for("product", FIXED)
    drawn, given_ = (
        product_of(patient, s)["clones"]["copies"] for s in (settings, measured(settings, sites=SITES))
    )
    assert drawn.equals(given_)


@given(
    parts=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    editable=st.floats(0.05, 1),
    deleted=st.floats(0, 0.3),
)
def test_alleles_show_the_measured_shares_beside_deletions_that_no_amplicon_shows(parts, editable, deleted):
    """Of the alleles that an amplicon sees, each outcome has its measured share, whatever is editable."""
    visible = dict(zip(("intended", "indel", "bystander"), parts, strict=True))
    assume(0 < sum(parts) <= 1)
    settings = edited(editable_fraction=editable, large_deletion=deleted)
    data = Measured(Settings(settings.values, {}, {"product_data": {"alleles": visible}}))
    alleles = data.bulk_alleles(settings)
    seen = 1 - alleles.mean("large_deletion")
    assert alleles.mean("large_deletion") == pytest.approx(editable * deleted)
    for name, share in visible.items():
        assert alleles.mean(name) / seen == pytest.approx(share, abs=1e-9)
    # Without loss, long-term cells have the same alleles, even if more are edited than the catalogue thinks.
    kept, lives = long_term_alleles(alleles, settings)
    assert lives == pytest.approx(1)
    assert np.allclose(kept.share, alleles.share)


def test_an_unedited_product_has_no_hidden_deletions():
    data = Measured(Settings({}, {}, {"product_data": {"alleles": {"unedited": 1.0}}}))
    assert data.bulk_alleles(edited()).mean("unedited") == 1


def test_a_measured_editing_product_takes_its_alleles(patient, settings_for):
    """Two in five alleles intended, all else unedited: a e is 0.4 in bulk, whatever the catalogue's e."""
    like = settings_for("product", FIXED)
    settings = edited(like, large_deletion=0.0)
    alleles = {"intended": 0.4, "indel": 0.0, "bystander": 0.0}
    row = product_of(patient, measured(settings, alleles=alleles))["products"].to_pylist()[0]
    assert row["mean_copies"] == pytest.approx(0.8)
    assert row["corrected_fraction"] == pytest.approx(0.8 * (1 - 0.5**2))
    is_corrected = np.arange(row["lt_hsc"]) < row["lt_hsc_corrected"]
    assert abs(z_of_share(is_corrected, 0.6)) < LIMIT
    assert abs(z_of_share(is_corrected, 0.95 * 0.6)) > LIMIT


@pytest.mark.parametrize(
    ("kind", "modification"),
    [
        ("alleles", "lentiviral"),
        ("colonies", "nhej"),
        ("sites", "hdr"),
        ("alleles", "unmodified"),
        ("sites", "none"),
    ],
)
def test_release_data_must_fit_the_product(tmp_path, kind, modification):
    path = tmp_path / "data.csv"
    path.write_text("x\n")
    with pytest.raises(UserError, match=f"product_data.{kind}: a {modification} product has no {kind}"):
        read_release({kind: str(path)}, modification)


def test_release_data_that_are_not_there_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_release({"colonies": str(tmp_path / "none.csv")}, "lentiviral")


ALLELE_HEAD = (
    "Aligned_Sequence\tReference_Sequence\tReference_Name\tRead_Status\tn_deleted\tn_inserted\tn_mutated"
)
COUNTS = "\t#Reads\t%Reads\n"
WILD = "GATTACAGGA"


def allele_table(*rows, names=True):
    """An allele table of (read, amplicon, deleted, inserted, mutated, reads), shares as they must be."""
    total = sum(row[-1] for row in rows)
    lines = []
    for read, amplicon, *changes, reads in rows:
        cells = [read, WILD, amplicon, "MODIFIED" if any(changes) else "UNMODIFIED"]
        lines.append("\t".join(map(str, [*cells, *changes, reads, 100 * reads / total])) + "\n")
    text = ALLELE_HEAD + COUNTS + "".join(lines)
    if names:
        return text
    # The table around the guide: neither amplicon nor status, but whether it is unedited.
    head, *body = [line.split("\t") for line in text.splitlines()]
    kept = [[*cells[:2], *cells[4:]] for cells in (head, *body)]
    return "".join("\t".join(cells) + "\n" for cells in kept)


SUMMARY_HEAD = (
    "Batch\tAmplicon\tUnmodified%\tModified%\tReads_in_input\tReads_aligned_all_amplicons\tReads_aligned\t"
    "Unmodified\tModified\tDiscarded\tInsertions\tDeletions\tSubstitutions\tOnly Insertions\tOnly Deletions\t"
    "Only Substitutions\tInsertions and Deletions\tInsertions and Substitutions\t"
    "Deletions and Substitutions\tInsertions Deletions and Substitutions\n"
)


def summary(*rows):
    """A batch summary of (batch, amplicon, unmodified, inserted, deleted, substituted) reads."""
    lines = [SUMMARY_HEAD]
    for batch, amplicon, intact, inserted, deleted, mutated in rows:
        changed = inserted + deleted + mutated
        cells = [batch, amplicon, 0, 0, 0, 0, intact + changed, intact, changed, 0]
        cells += [inserted, deleted, mutated, inserted, deleted, mutated, 0, 0, 0, 0]
        lines.append("\t".join(map(str, cells)) + "\n")
    return "".join(lines)


def written(tmp_path, text, name="data.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


CUT = [
    (WILD, "Reference", 0, 0, 0, 30),
    ("GA--ACAGGA", "Reference", 2, 0, 0, 50),
    ("GATTACAGGC", "Reference", 0, 0, 1, 20),
]
REPAIRED = [
    (WILD, "Reference", 0, 0, 0, 20),
    ("GA--ACAGGA", "Reference", 2, 0, 0, 30),
    ("GATCACAGGA", "HDR", 0, 0, 0, 40),
    ("GATCACAG-A", "HDR", 1, 0, 0, 10),
    ("GATTACAGGA", "AMBIGUOUS_Reference", 0, 0, 0, 100),
]
PRIMED = [
    (WILD, "Reference", 0, 0, 0, 30),
    ("GATCACAGGA", "Prime-edited", 0, 0, 0, 60),
    ("GATCACAGGT", "Scaffold-incorporated", 0, 0, 0, 10),
]
# A to G at base 5 is what most reads have; at base 7 beside or instead of it; T to C is a reading error.
BASES = [
    (WILD, "Reference", 0, 0, 0, 20),
    ("GATTGCAGGA", "Reference", 0, 0, 1, 50),
    ("GATTGCGGGA", "Reference", 0, 0, 2, 15),
    ("GATTACGGGA", "Reference", 0, 0, 1, 5),
    ("GATCACAGGA", "Reference", 0, 0, 1, 4),
    ("GA--GCAGGA", "Reference", 2, 0, 1, 6),
]


@pytest.mark.parametrize(
    ("text", "modification", "expected"),
    [
        (allele_table(*CUT), "nhej", (0.5, 0.0, 0.0)),
        (allele_table(*CUT, names=False), "nhej", (0.5, 0.0, 0.0)),
        (allele_table(*REPAIRED), "hdr", (0.4, 0.4, 0.0)),
        (allele_table(*PRIMED), "prime_edit", (0.6, 0.1, 0.0)),
        (allele_table(*BASES), "base_edit", (0.5, 0.06, 0.2)),
        (allele_table(*BASES, names=False), "base_edit", (0.5, 0.06, 0.2)),
        (allele_table((WILD, "Reference", 0, 0, 0, 9)), "base_edit", (0.0, 0.0, 0.0)),
        (summary(("Cas9", "Reference", 40, 10, 45, 5)), "nhej", (0.55, 0.0, 0.0)),
        (summary(("a", "Reference", 40, 0, 20, 0), ("a", "HDR", 30, 4, 4, 2)), "hdr", (0.32, 0.28, 0.0)),
        (summary(("a", "Reference", 30, 0, 10, 60)), "base_edit", (0.6, 0.1, 0.0)),
        (summary(("a", "Reference", 30, 0, 10, 20), ("a", "HDR", 40, 0, 0, 0)), "base_edit", (0.4, 0.1, 0.2)),
    ],
)
def test_crispresso_tables_give_the_share_of_alleles_by_outcome(tmp_path, text, modification, expected):
    """What a modification intends differs; substitutions alone are reading errors but of a base editor."""
    found = read_release({"alleles": written(tmp_path, text)}, modification)["alleles"]
    assert (found["intended"], found["indel"], found["bystander"]) == pytest.approx(expected)


def off_by(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


GOOD = allele_table(*CUT)


@pytest.mark.parametrize(
    ("text", "modification", "said"),
    [
        (off_by(GOOD, "\t50\t50.0", "\t50\t40.0"), "nhej", "%Reads add up to 90; allowed: 100"),
        (off_by(GOOD, "\t30\t30.0\n", "\t40\t30.0\n"), "nhej", "line 2: %Reads = 30 of 40 in 110 reads"),
        (off_by(GOOD, "\t50\t50.0", "\tmany\t50.0"), "nhej", "line 3: #Reads = 'many'; allowed: a whole"),
        (off_by(GOOD, "\t50\t50.0", "\t-50\t50.0"), "nhej", "line 3: #Reads = '-50'"),
        (off_by(GOOD, "\t50\t50.0", "\t1e300\t50.0"), "nhej", "line 3: #Reads = '1e300'"),
        (allele_table(*CUT, CUT[1]), "nhej", "line 5: the same allele stood on line 3 already"),
        (off_by(GOOD, "\t50\t50.0", "\t50"), "nhej", "line 3: has 8 cells; allowed: 9"),
        (GOOD, "hdr", "no reads of the amplicon 'HDR'"),
        (GOOD, "prime_edit", "no reads of the amplicon 'Prime-edited'"),
        (GOOD.splitlines()[0], "nhej", "has no row"),
        ("", "nhej", "has no row"),
        ("a,b\n1,2\n", "nhej", "is no table of CRISPResso2"),
        (off_by(GOOD, "n_mutated", "n_deleted"), "nhej", "column 'n_deleted' stands twice"),
        (off_by(GOOD, f"{WILD}\t", f"{WILD}T\t"), "base_edit", "line 2: .*differ in length"),
        (
            summary(("Cas9", "Reference", 40, 10, 45, 5), ("mock", "Reference", 99, 0, 0, 1)),
            "nhej",
            r"holds 2 samples \(Cas9, mock\)",
        ),
        (off_by(summary(("a", "R", 40, 10, 45, 5)), "\t100\t", "\t99\t"), "nhej", "add up to 100 .*: 99"),
        (
            off_by(summary(("a", "R", 40, 10, 45, 5)), "\t10\t45\t5\t10\t", "\t10\t45\t5\t9\t"),
            "nhej",
            "the kinds of change add up to 59 reads; allowed: 60",
        ),
        (summary(("a", "R", 0, 0, 0, 0)), "nhej", "holds no reads"),
        (summary(("a", "R", 1, 0, 0, 0), ("a", "R", 1, 0, 0, 0)), "nhej", "line 3: the same amplicon"),
    ],
)
def test_a_bad_allele_table_is_one_sentence(tmp_path, text, modification, said):
    with pytest.raises(UserError, match=said) as error:
        read_release({"alleles": written(tmp_path, text)}, modification)
    assert "data.txt" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colony,copies\na,0\nb,2\nc,2\n", [[0, 1], [2, 2]]),
        ("VCN\n0.2\n1.8\n0.5\n", [[0, 1], [1, 1], [2, 1]]),
        ("patient\tvcn_by_vis\tn_colonies\nA\t0\t56\nA\t3\t4\nB\t3\t1\n", [[0, 56], [3, 5]]),
        ("\ufeffcopies,colonies\n1,0\n4,2\n", [[4, 2]]),
    ],
)
def test_colonies_are_counted_by_their_copies(tmp_path, text, expected):
    assert read_release({"colonies": written(tmp_path, text)}, "lentiviral") == {"copies": expected}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no row"),
        ("copies\n", "has no row"),
        ("clones\n1\n", "no column of copies; allowed: copies, vcn"),
        ("copies\n1\ntwo\n", "line 3: copies = 'two'"),
        ("copies\n-1\n", "line 2: copies = '-1'"),
        ("copies\nnan\n", "line 2: copies = 'nan'"),
        ("copies\n1\n1e9\n", "line 3: copies = 1000000000; allowed: at most 200"),
        ("colony,copies\na,1\na,1\n", "line 3: this colony stood on line 2"),
        ("copies,colonies\n1,0\n", "holds no colony"),
        ("copies,colonies\n1,2.5\n", "line 2: colonies = '2.5'; allowed: a whole number"),
    ],
)
def test_a_bad_table_of_colonies_is_one_sentence(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as error:
        read_release({"colonies": written(tmp_path, text)}, "lentiviral")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        # ISAnalytics: a matrix, tidy, with reads beside fragments; gt23; AAVengeR; INSPIIRED's own columns
        "chr\tintegration_locus\tstrand\tGeneName\tGeneStrand\tS1\tS2\n"
        "3\t100\t+\tMECOM\t+\t2\t\nX\t7\t-\tNA\tNA\tNA\t5\n",
        "chr,integration_locus,strand,GeneName,CompleteAmplificationID,Value\n"
        "3,100,+,MECOM,S1,1\n3,100,+,MECOM,S2,1\nX,7,-,,S2,5\n",
        "chr,integration_locus,strand,GeneName,seqCount,fragmentEstimate\n3,100,+,MECOM,900,2\nX,7,-,,1,5\n",
        "seqnames,start,strand,refGenome,reads,estAbund,nearestFeature\n"
        'chr3,100,+,hg38,9,2,"MECOM,LINC"\nchrX,7,-,hg38,9,5,\n',
        "refGenome\tposid\tsonicLengths\treads\tnearestGene\nhg38\tchr3+100.1\t2\t9\tMECOM\n"
        "hg38\tchrX-7\t5\t9\t\n",
        "position,chr,strand,gene,weight\n100,chr3,+,MECOM,2\n7,chrX,-,,5\n7,chr1,-,,0\n",
    ],
)
def test_sites_are_read_as_the_fields_tools_write_them(tmp_path, text):
    found = read_release({"sites": written(tmp_path, text)}, "gammaretroviral")["sites"]
    assert found == [["3", 100, "+", "MECOM", 2], ["X", 7, "-", "", 5]]


def test_sites_without_abundance_weigh_alike(tmp_path):
    found = read_release({"sites": written(tmp_path, "chr,position,strand\n1,5,+\n2,5,+\n")}, "lentiviral")
    assert [row[-1] for row in found["sites"]] == [1, 1]


SITE_HEAD = "chr,position,strand,weight\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SITE_HEAD, "has no row"),
        (SITE_HEAD + "1,5,+,0\n", "holds no site"),
        (SITE_HEAD + "1,5,+,1\n25,5,+,1\n", "line 3: 25:5, .*chromosomes 1 to 22"),
        (SITE_HEAD + "1,0,+,1\n", "line 2: 1:0"),
        (SITE_HEAD + "22,60000000,+,1\n", "line 2: 22:60000000"),
        (SITE_HEAD + "1,5,*,1\n", r"line 2: .*strand '\*'"),
        (SITE_HEAD + "1,here,+,1\n", "line 2: position = 'here'"),
        (SITE_HEAD + "1,5,+,-1\n", "line 2: weight = '-1'"),
        ("chr,strand\n1,+\n", "no column of positions"),
        ("posid\nchr1:5\n", "line 2: posid = 'chr1:5'"),
        ("chr,position,strand,refGenome\n1,5,+,hg19\n", "line 2: refGenome = 'hg19'; allowed: hg38"),
        (SITE_HEAD + "".join(f"1,{i + 1},+,1\n" for i in range(50_001)), "holds 50,001 sites; allowed"),
    ],
)
def test_a_bad_table_of_sites_is_one_sentence(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as error:
        read_release({"sites": written(tmp_path, text)}, "lentiviral")
    assert "\n" not in str(error.value)


def test_release_data_may_be_packed(tmp_path):
    text = "copies\n1\n"
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write(text)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", text)
    for name in ("a.csv.gz", "a.zip"):
        assert read_release({"colonies": str(tmp_path / name)}, "lentiviral") == {"copies": [[1, 1]]}


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv.gz", b"copies\n1\n"), ("a.zip", b"copies\n1\n"), ("a.csv", b"copies\n\xff\xfe\n")],
)
def test_release_data_that_cannot_be_read_are_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: cannot be read: "):
        read_release({"colonies": str(tmp_path / name)}, "lentiviral")


def test_a_study_takes_release_data_from_files(tmp_path, study):
    """From the file that a study names to the clones of every patient."""
    colonies = written(tmp_path, "copies,colonies\n0,1\n5,1\n", "colonies.csv")
    sites = written(tmp_path, "chr,position,strand,gene\n3,169100000,+,MECOM\n", "sites.csv")
    arm = {"name": "trial", "product_data": {"colonies": colonies, "sites": sites}}
    changes = {"product.lt_copies_ratio": 1, "drivers.per_cell_year": 0}
    tables = simulate_arm(load_study({**study, "patients": 3, "arms": [arm], "set": changes}), "trial")
    assert set(tables["products"]["mean_copies"].to_pylist()) == {2.5}
    assert set(tables["clones"]["copies"].to_pylist()) == {5}
    assert set(tables["sites"]["gene"].to_pylist()) == {"MECOM"}
