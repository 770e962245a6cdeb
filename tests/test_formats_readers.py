"""Readers: each format's own spelling into the tidy form, and which format a file is in."""

import pytest

from hsc_pipeline.errors import UserError
from hsc_pipeline.formats import combine, detect, read, read_clinical, read_colonies
from hsc_pipeline.formats.names import DAYS_PER_MONTH, Lineages, months, place
from tests.clone_tables import assert_same, observations

ASSOCIATION = (
    "ProjectID\tPoolID\tSubjectID\tTissue\tTimePoint\tCellMarker\tReplicateNumber\tDNAngUsed\tVCN\t"
    "CompleteAmplificationID\tTimepointMonths\n"
    "PJ\tP1\tPT001\tPB\t0365\tCD15\t1\t300\t0.8\tid1\t12\n"
    "PJ\tP1\tPT002\tBM\t0730\tCD34\t1\t150\tNA\tid2\t24\n"
)
SITES = [("1", 100, "+", "LMO2"), ("X", 5, "-", "")]
SAMPLES = [
    {
        "sample": "id1",
        "subject": "PT001",
        "month": 12.0,
        "tissue": "PB",
        "marker": "CD15",
        "replicate": "1",
        "trial": "PJ",
        "dna_ng": 300.0,
        "vcn": 0.8,
        "other": {"PoolID": "P1"},
    },
    {
        "sample": "id2",
        "subject": "PT002",
        "month": 24.0,
        "tissue": "BM",
        "marker": "CD34",
        "replicate": "1",
        "trial": "PJ",
        "dna_ng": 150.0,
        "other": {"PoolID": "P1"},
    },
]
ROWS = [
    ("id1", "chr1+100", 3, *SITES[0]),
    ("id1", "chrX-5", 1, *SITES[1]),
    ("id2", "chr1+100", 2, *SITES[0]),
]
EXPECTED = observations(SAMPLES, ROWS, "reads")


def tree(root, matrices):
    """A VISPA2 tree with an association file."""
    pool = root / "PJ" / "quantification" / "P1"
    pool.mkdir(parents=True)
    (root / "PJ" / "association.tsv").write_text(ASSOCIATION)
    for name, text in matrices.items():
        (pool / name).write_text(text)
    return root


WIDE = (
    "chr\tintegration_locus\tstrand\tGeneName\tGeneStrand\tid1\tid2\n"
    "1\t100\t+\tLMO2\t+\t3\t2\nX\t5\t-\t\t\t1\t\n"
)
TIDY = (
    "chr\tintegration_locus\tstrand\tGeneName\tGeneStrand\tCompleteAmplificationID\tValue\n"
    "1\t100\t+\tLMO2\t+\tid1\t3\nX\t5\t-\t\t\tid1\t1\n1\t100\t+\tLMO2\t+\tid2\t2\n"
)


def test_a_visp_tree_is_read_with_its_association_file(tmp_path):
    root = tree(tmp_path, {"PJ_P1_seqCount_matrix.no0.annotated.tsv": WIDE})
    assert detect(root) == "isanalytics"
    assert_same(read(root), EXPECTED)


def test_the_tidy_form_of_a_matrix_is_the_same_observations(tmp_path):
    root = tree(tmp_path, {"PJ_P1_seqCount_matrix.tsv": TIDY})
    assert_same(read(root), EXPECTED)


def test_an_annotated_matrix_stands_for_the_plain_one_beside_it(tmp_path):
    plain = WIDE.replace("\t3\t", "\t99\t")
    root = tree(
        tmp_path,
        {"PJ_P1_seqCount_matrix.no0.annotated.tsv": WIDE, "PJ_P1_seqCount_matrix.tsv": plain},
    )
    assert_same(read(root), EXPECTED)


def test_an_old_matrix_names_its_sites_in_one_column(tmp_path):
    old = "IS_genomicID\tid1\tid2\n1_100_+\t3\t2\nX_5_-\t1\tNA\n"
    root = tree(tmp_path, {"PJ_P1_seqCount_matrix.tsv": old})
    no_genes = [(sample, clone, count, *site, "") for sample, clone, count, *site, _ in ROWS]
    assert_same(read(root), observations(SAMPLES, no_genes, "reads"))


def test_the_estimate_is_read_before_the_reads_and_each_on_request(tmp_path):
    estimate = WIDE.replace("\t3\t2", "\t2.75\t1.5")
    root = tree(tmp_path, {"PJ_P1_seqCount_matrix.tsv": WIDE, "PJ_P1_fragmentEstimate_matrix.tsv": estimate})
    assert read(root).assay == "fragments"
    assert sorted(read(root).clones["count"].to_pylist()) == [1, 1.5, 2.75]
    assert_same(read(root, assay="reads"), EXPECTED)
    with pytest.raises(UserError, match="holds no matrix of cells, but of"):
        read(root, assay="cells")


def test_pools_of_a_tree_are_read_together(tmp_path):
    first = "chr\tintegration_locus\tstrand\tGeneName\tid1\n1\t100\t+\tLMO2\t3\nX\t5\t-\t\t1\n"
    second = "chr\tintegration_locus\tstrand\tGeneName\tid2\n1\t100\t+\tLMO2\t2\n"
    matrices = {"PJ_P1_seqCount_matrix.tsv": first, "PJ_P2_seqCount_matrix.tsv": second}
    assert_same(read(tree(tmp_path, matrices)), EXPECTED)


@pytest.mark.parametrize(("first", "second", "month"), [("12", "24", 12.0), ("0365", "0730", 12.0)])
def test_aggregated_matrices_name_samples_by_their_key(first, second, month, tmp_path):
    """As Calabria's deposit in months, as ISAnalytics in days of four digits."""
    path = tmp_path / "Pt05_SubjectID_CellMarker_Tissue_TimepointMonths_seqCount.tsv"
    path.write_text(
        WIDE.replace("id1", f"BTHAL_010_CD3_BM_{first}").replace("id2", f"BTHAL_010_CD15_PB_{second}")
    )
    found = read(path)
    assert found.assay == "reads"
    row = found.samples.to_pylist()[0]
    assert (row["subject"], row["marker"], row["lineage"], row["tissue"]) == ("BTHAL_010", "CD3", "T", "BM")
    assert found.samples["month"].to_pylist() == [month, 2 * month]


GT23 = (
    "seqnames,start,end,width,strand,reads,patient,GTSP,cellType,timePoint,timePointDays,timePointMonths,posid,"
    "estAbund,relAbund,nearestFeature\n"
    "chr10,7,7,1,-,90,p401,GTSP1,T cells,M18.5,562.71,18.5,chr10-7,2.5,71.4,PTEN\n"
    "chrX,8,8,1,+,40,p401,GTSP1,T cells,M18.5,562.71,18.5,chrX+8,1,28.6,\n"
    "chrX,8,8,1,+,9,p402,GTSP2,Monocytes,Y3,1095,36,chrX+8,4,100,\n"
)


def test_gt23_sites(tmp_path):
    path = tmp_path / "intSites.csv"
    path.write_text(GT23)
    assert detect(path) == "gt23"
    expected = observations(
        [
            {"sample": "GTSP1", "subject": "p401", "month": 18.5, "marker": "T cells"},
            {"sample": "GTSP2", "subject": "p402", "month": 36.0, "marker": "Monocytes"},
        ],
        [
            ("GTSP1", "chr10-7", 2.5, "10", 7, "-", "PTEN"),
            ("GTSP1", "chrX+8", 1, "X", 8, "+", ""),
            ("GTSP2", "chrX+8", 4, "X", 8, "+", ""),
        ],
    )
    assert_same(read(path), expected)
    assert read(path, assay="reads").clones["count"].to_pylist() == [90, 40, 9]
    assert read(path, subjects=["p402"]).samples["subject"].to_pylist() == ["p402"]


def test_aavenger_sites_with_months_from_a_table_of_samples(tmp_path):
    path, sheet = tmp_path / "sites.tsv", tmp_path / "samples.csv"
    path.write_text(
        "trial\tsubject\tsample\trefGenome\tposid\trUMIs\tsonicLengths\treads\tnearestGene\n"
        "CART\tp1\ts1\thg38\tchr7+123.2\t5\t4\t90\tBRAF\nCART\tp1\ts1\thg38\tchr7+123.3\t1\t1\t8\tBRAF\n"
    )
    sheet.write_text("sample,subject,celltype,days\ns1,p1,PBMC,28\n")
    assert detect(path) == "aavenger"
    for assay, counts in (("fragments", [4, 1]), ("barcodes", [5, 1]), ("reads", [90, 8])):
        found = read(path, assay=assay, metadata=sheet)
        assert found.clones["count"].to_pylist() == counts
    row = found.clones.to_pylist()[1]
    assert (row["clone"], row["chromosome"], row["position"], row["gene"]) == ("chr7+123.3", "7", 123, "BRAF")
    assert row["month"] == round(28 / DAYS_PER_MONTH, 4)
    alone = read(path).samples.to_pylist()[0]
    assert (alone["subject"], alone["month"]) == ("CART_p1", None)


@pytest.mark.parametrize("corner", ["", "barcode\t"])
def test_barcodetrackr_counts_with_and_without_a_name_over_the_rows(corner, tmp_path):
    path = tmp_path / "monkey_ZG66.txt"
    path.write_text(f"{corner}T_3m\tGr_6m\nACGT\t5\t0\nchr1-1016499\t2\t7\n")
    (tmp_path / "monkey_ZG66_metadata.txt").write_text(
        "SAMPLENAME\tmonkey\tmonths\tcelltype\tbatch\nT_3m\tZG66\t3\tT\tb1\nGr_6m\tZG66\t6.5\tGr\tb2\n"
    )
    assert detect(path) == "barcodetrackr"
    expected = observations(
        [
            {"sample": "T_3m", "subject": "ZG66", "month": 3.0, "marker": "T", "other": {"batch": "b1"}},
            {"sample": "Gr_6m", "subject": "ZG66", "month": 6.5, "marker": "Gr", "other": {"batch": "b2"}},
        ],
        [
            ("T_3m", "ACGT", 5),
            ("T_3m", "chr1-1016499", 2, "1", 1016499, "-", ""),
            ("Gr_6m", "chr1-1016499", 7, "1", 1016499, "-", ""),
        ],
        "reads",
    )
    assert_same(read(path), expected)


LONG = "subject,month,tissue,lineage,clone,count\na,3,PB,CD3,7,2\na,3,PB,CD3,8,1\nb,6,BM,odd,7,5\n"


def test_a_plain_long_table(tmp_path):
    path = tmp_path / "clones.csv"
    path.write_text(LONG)
    assert detect(path) == "long"
    found = read(path)
    assert found.assay == "unstated"
    assert found.samples["sample"].to_pylist() == ["a_CD3_PB_3", "b_odd_BM_6"]
    assert found.samples["lineage"].to_pylist() == ["T", "odd"]
    assert found.clones["count"].to_pylist() == [2, 1, 5]
    assert read(path, assay="cells").assay == "cells"
    assert read(path, subjects=["b"]).clones["clone"].to_pylist() == ["7"]
    assert read(path, lineages={"odd": "B", "CD3+": "naive"}).samples["lineage"].to_pylist() == ["naive", "B"]


def test_patients_of_two_trials_are_two_subjects(tmp_path):
    path = tmp_path / "clones.tsv"
    path.write_text(
        "trial\tpatient\ttissue\tmarker\tmonth\tclone\tseq_count\tfragment_estimate\n"
        "WAS\tPt24\tPB\tCD15\t3\t1\t50\t\nBTHAL\tPt24\tPB\tCD15\t3\t1\t60\t7.25\n"
    )
    assert read(path, assay="reads").samples["subject"].to_pylist() == ["WAS_Pt24", "BTHAL_Pt24"]
    sonic = read(path)
    assert (sonic.assay, sonic.samples["subject"].to_pylist()) == ("fragments", ["BTHAL_Pt24"])


def test_fragments_that_are_the_reads_once_more_are_refused_or_dropped(tmp_path):
    """LAM-PCR leaves them so; a sonic estimate of the same number of reads passes."""
    path = tmp_path / "clones.tsv"
    rows = [f"a\t3\tCD15\t{clone}\t{20 + clone}\t{20 + clone}" for clone in range(9)]
    rows += [f"a\t6\tCD15\t{clone}\t{20 + clone}\t{3 + clone}.5" for clone in range(9)]
    path.write_text("\n".join(["subject\tmonth\tmarker\tclone\treads\tfragments", *rows]) + "\n")
    with pytest.raises(UserError, match="in 1 samples, the first 'a_CD15__3', fragments repeats reads"):
        read(path)
    assert read(path, repeated="drop").samples["month"].to_pylist() == [6.0]
    assert read(path, assay="reads").samples.num_rows == 2


AIRR = (
    "sequence_id\tsequence\trev_comp\tproductive\tv_call\td_call\tj_call\tsequence_alignment\t"
    "germline_alignment\tjunction\tjunction_aa\tv_cigar\td_cigar\tj_cigar\tclone_id\tduplicate_count\t"
    "umi_count\trepertoire_id\n"
)


def airr(rows):
    blank = "\t".join([""] * 13)
    return AIRR + "".join(f"{row[0]}\t{blank}\t" + "\t".join(map(str, row[1:])) + "\n" for row in rows)


def test_airr_sequences_of_a_clone_are_added_up(tmp_path):
    path = tmp_path / "r.tsv"
    path.write_text(airr([("s1", "c1", 5, 2, "r1"), ("s2", "c1", 3, 1, "r1"), ("s1", "c2", 4, 1, "r2")]))
    assert detect(path) == "airr"
    found = read(path)
    assert found.assay == "barcodes"
    assert found.clones.select(["sample", "clone", "count"]).to_pylist() == [
        {"sample": "r1", "clone": "c1", "count": 3},
        {"sample": "r2", "clone": "c2", "count": 1},
    ]
    assert read(path, assay="reads").clones["count"].to_pylist() == [8, 4]
    assert found.samples["subject"].to_pylist() == ["r1", "r2"]


def test_columns_may_be_called_otherwise(tmp_path):
    path = tmp_path / "clones.csv"
    path.write_text("who,dpi,barcode,n\na,365,x,2\n")
    found = read(path, "long", columns={"who": "subject", "dpi": "days", "n": "reads"})
    assert (found.assay, found.clones["month"].to_pylist()) == ("reads", [12.0])
    with pytest.raises(UserError, match="no column 'dpt' to rename"):
        read(path, "long", columns={"dpt": "days"})


def test_semicolons_quotes_and_byte_order_marks(tmp_path):
    path = tmp_path / "clones.csv"
    path.write_text('subject;month;clone;count\n"a;b";3;"x";2\n', encoding="utf-8-sig")
    assert read(path).clones["subject"].to_pylist() == ["a;b"]


# Times, lineages, places


@pytest.mark.parametrize(
    ("column", "cell", "month"),
    [
        ("month", "18.5", 18.5),
        ("days", "365", 12.0),
        ("days", "0365", 12.0),
        ("weeks", "9", round(63 / DAYS_PER_MONTH, 4)),
        ("timePoint", "M18.5", 18.5),
        ("timePoint", "Y3", 36.0),
        ("timePoint", "D28", round(28 / DAYS_PER_MONTH, 4)),
        ("TimePoint", "0730", 24.0),
        ("month", "NA", None),
    ],
)
def test_times(column, cell, month, tmp_path):
    path = tmp_path / "clones.tsv"
    path.write_text(f"subject\t{column}\tclone\tcount\na\t{cell}\tx\t1\n")
    assert read(path).clones["month"].to_pylist() == [month]


def test_a_month_survives_days():
    """Whole months come back exactly from the days they were rounded to, as far as days can tell."""
    for month in range(241):
        assert months(month * DAYS_PER_MONTH, "days") == month
        assert abs(months(round(month * DAYS_PER_MONTH), "days") - month) <= 0.5 / DAYS_PER_MONTH + 1e-4


def test_lineages_know_the_markers_and_keep_the_rest(tmp_path):
    known = Lineages()
    expected = {
        "CD13": "Myeloid",
        "cd14+": "Myeloid",
        "CD19": "B",
        "CD8": "T",
        "CD56": "NK",
        "GLY": "Erythroid",
    }
    expected |= {"HSC": "CD34", "MNC": "Other", "t_cell": "T", "neutrophil": "Myeloid", "odd": "odd", "": ""}
    assert {marker: known.of(marker) for marker in expected} == expected
    table = tmp_path / "blood_lineages.tsv"
    table.write_text("CellMarker\tCellType\tHematoLineage\nCD14\tMono\tMonocytic\n")
    assert Lineages(table).of("CD14") == "Monocytic"
    assert Lineages(table).of("CD15") == "Myeloid"


def test_every_lineage_of_the_table_stands_for_itself():
    """Reading what was written maps nothing twice."""
    known = Lineages()
    for lineage in {
        known.of(marker) for marker in ("CD13", "CD19", "CD3", "CD56", "GLY", "CD61", "HSC", "MNC")
    }:
        assert known.of(lineage) == lineage


def test_places_of_names():
    assert place("chr10-103758677") == ("10", 103758677, "-")
    assert place("chrX+72082078.12") == ("X", 72082078, "+")
    assert place("7+5") == ("7", 5, "+")
    assert place("ACGT") is None
    assert place("chr1:5") is None


def test_combining_refuses_other_assays_and_repeated_samples():
    one = observations([{"sample": "a", "subject": "x"}], [("a", "c", 1)], "reads")
    other = observations([{"sample": "b", "subject": "y"}], [("b", "c", 2), ("b", "d", 1)], "reads")
    both = combine(one, other)
    assert both.clones.to_pylist() == [*one.clones.to_pylist(), *other.clones.to_pylist()]
    with pytest.raises(UserError, match="reads and cells are different assays and cannot be compared"):
        combine(one, observations([{"sample": "b", "subject": "y"}], [("b", "c", 2)], "cells"))
    with pytest.raises(UserError, match="sample 'a' stands in two"):
        combine(one, one)


# Small tables


def test_a_clinical_series(tmp_path):
    path = tmp_path / "clinical.csv"
    path.write_text(
        "subject,month,measure,lineage,value,unit,below_limit\n"
        "a,3,vcn,CD15,0.2,copies/cell,false\na,3,vcn,CD3,0.01,copies/cell,true\na,3,titre,,<10,mIU/mL,\n"
    )
    assert detect(path) == "clinical"
    rows = read_clinical(path).to_pylist()
    assert [(row["lineage"], row["value"], row["below_limit"]) for row in rows] == [
        ("Myeloid", 0.2, False),
        ("T", 0.01, True),
        ("", 10.0, True),
    ]
    with pytest.raises(UserError, match="a table of clinical, for read_clinical"):
        read(path)


def test_summaries_of_phylogenies(tmp_path):
    path = tmp_path / "colonies.tsv"
    path.write_text("patient\tmonth\tcolonies\tcoalescences\nSCD4\t24\t420\t3\nSCD5\t\t292\t0\n")
    assert detect(path) == "colonies"
    assert read_colonies(path).to_pylist() == [
        {"subject": "SCD4", "month": 24.0, "sample": "", "colonies": 420, "coalescences": 3},
        {"subject": "SCD5", "month": None, "sample": "", "colonies": 292, "coalescences": 0},
    ]
