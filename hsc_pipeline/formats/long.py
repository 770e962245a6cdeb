"""Long tables: a row a clone and sample.  Plain ones, Calabria's deposit, gt23 and AAVengeR."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.formats.assemble import (
    PLACE,
    Options,
    Rows,
    assemble,
    check_counts,
    choose,
    is_estimate,
    refuse_repeats,
)
from hsc_pipeline.formats.files import Header, Spot, line_of, stream, whole, write_table
from hsc_pipeline.formats.names import (
    COUNTS,
    MEANINGS,
    TIMES,
    Prefix,
    check_strand,
    find,
    place,
    plain,
    posids,
)
from hsc_pipeline.formats.sheets import (
    FIELDS,
    check_names,
    columns_of,
    month_cell,
    read_samples,
    sample_rows,
    write_samples,
)
from hsc_pipeline.formats.tables import ASSAYS, NAME, Observations, whole_array

CLONES_FILE, SAMPLES_FILE = "clones.tsv.gz", "samples.tsv"
# Sites of so many fragments tell whether these are reads once more.  Of Calabria's samples, 0-6 % of the
# rows of sonic ones agree with the reads, and 85-100 % of those of LAM-PCR.
_TELLING, _MOST_AGREEING = 3, 0.5


@dataclass(frozen=True)
class Layout:
    """Where a long table keeps what.

    Attributes
    ----------
    clone : str
        Empty if clones are named by their place.
    counts : mapping of str to str
        Column of each assay.
    place : mapping of str to str
        Column of each of `PLACE` that it has.
    """

    clone: str
    counts: Mapping[str, str]
    place: Mapping[str, str]


def read(path: Path, options: Options) -> Observations:
    """Read a plain long table, or a folder with ``clones.tsv.gz`` and ``samples.tsv``."""
    if path.is_dir():
        options = replace(options, metadata=options.metadata or path / SAMPLES_FILE)
        path = path / CLONES_FILE
    head = options.header(path)
    clone = find(head.names, MEANINGS["clone"], path, "clone")
    if clone is None:
        raise UserError(f"{path}: no column names the clone; found {head.shown()}")
    counts = {a: find(head.names, words, path, a) for a, words in COUNTS.items()}
    places = {name: find(head.names, MEANINGS[name], path, name) for name in PLACE}
    layout = Layout(clone, _present(counts), _present(places))
    return read_layout(head, layout, options)


def _present(columns: Mapping[str, str | None]) -> dict[str, str]:
    return {name: column for name, column in columns.items() if column is not None}


def read_layout(head: Header, layout: Layout, options: Options) -> Observations:
    """Read a long table of a known layout.

    Raises
    ------
    UserError
    """
    options = replace(options, assay=_stated_assay(head, options))
    sheet = None if options.metadata is None else read_samples(options.metadata, options)
    keys = _keys(head, sheet is not None)
    table = _load(head, layout, _needed(head, layout.counts, options), keys)
    assay, column = choose(head, _filled(table, layout.counts), options)
    reads = layout.counts.get("reads") if assay == "fragments" else None
    if sheet is None:
        samples, index = _own_samples(table, keys, head, options)
    else:
        samples, index = _sheet_samples(table, keys["sample"], sheet, head, options)
    chosen = np.array([options.wants(s["subject"]) for s in samples], bool)
    if "assay" in keys:
        chosen = chosen[index] & _of_assay(table, keys["assay"], assay, head)
    else:
        chosen = chosen[index] if len(samples) else np.zeros(0, bool)
    rows = _rows(table, head, layout, column, samples, index, chosen, assay, options)
    several = len(layout.counts) > 1 or "assay" in keys
    if reads:
        rows = _refuse_repeated_reads(rows, table[reads].to_numpy(), column, reads, options)
    return assemble([_wanted(rows, options, several)], assay, head.path, options)


def _needed(head: Header, counts: Mapping[str, str], options: Options) -> list[str]:
    """Return the columns of counts to load: all, unless the user chose one."""
    if options.assay is None:
        return list(counts.values())
    assay, column = choose(head, counts, options)
    beside = [counts["reads"]] if assay == "fragments" and "reads" in counts else []
    return [column, *beside]


def _filled(table: pa.Table, counts: Mapping[str, str]) -> dict[str, str]:
    """Return the loaded columns of counts that hold anything; all of them if none does."""
    loaded = {assay: column for assay, column in counts.items() if column in table.column_names}
    return {a: c for a, c in loaded.items() if table[c].null_count < table.num_rows} or loaded


def _stated_assay(head: Header, options: Options) -> str | None:
    """Return the assay to read, from the user or from a column ``assay`` that holds only one."""
    if "assay" not in head.names or options.assay is not None:
        return options.assay
    found: dict[str, None] = {}
    for batch in stream(head, {"assay": pa.string()}):
        found |= dict.fromkeys(pc.unique(batch.column(0)).to_pylist())
    for name in found:
        if name not in ASSAYS:
            raise UserError(f"{head.path}, column assay: {name!r}; {suggest(name, list(ASSAYS))}")
    if len(found) > 1:
        raise UserError(
            f"{head.path}, column assay: holds {' and '.join(found)}, different assays that cannot be "
            f"compared; say assay={next(iter(found))!r} or another"
        )
    return next(iter(found), None)


def _keys(head: Header, has_sheet: bool) -> dict[str, str]:
    """Return the columns that tell samples apart, by what they mean."""
    extra = {"assay": "assay"} if "assay" in head.names else {}
    columns = columns_of(head.names, head.path)
    if has_sheet:
        if "sample" not in columns:
            raise UserError(f"{head.path}: a table of samples is given, but no column names the sample here")
        return {"sample": columns["sample"], **extra}
    times = {kind: find(head.names, words, head.path, kind) for kind, words in TIMES.items()}
    return {**columns, **_present(times), **extra}


def _load(head: Header, layout: Layout, counts: Sequence[str], keys: Mapping[str, str]) -> pa.Table:
    """Read the columns that are needed, names dictionary-encoded under one dictionary."""
    types = {
        **dict.fromkeys(keys.values(), NAME),
        **({layout.clone: NAME} if layout.clone else {}),
        **{c: pa.int64() if name == "position" else NAME for name, c in layout.place.items()},
        **dict.fromkeys(counts, pa.float64()),
    }
    schema = pa.schema(list(types.items()))
    batches = [batch.select(list(types)) for batch in stream(head, types)]
    table = pa.Table.from_batches(batches, schema).unify_dictionaries().combine_chunks()
    if layout.clone:
        return table
    at = [table[layout.place[name]] for name in ("chromosome", "position", "strand")]
    at[0] = pa.chunked_array([Prefix(head.path, layout.place["chromosome"]).strip(at[0].combine_chunks())])
    return table.append_column("", posids(*at).dictionary_encode().cast(NAME)).combine_chunks()


def _own_samples(
    table: pa.Table, keys: Mapping[str, str], head: Header, options: Options
) -> tuple[list[dict], np.ndarray]:
    """Tell samples apart by the columns that describe them; return them and the index of each row."""
    columns = [whole_array(table[column]) for column in keys.values()]
    code = np.zeros(table.num_rows, np.int64)
    for column in columns:
        code = code * max(len(column.dictionary), 1) + column.indices.to_numpy()
        # Codes are packed at every step, so that many columns do not overflow.
        code = np.unique(code, return_inverse=True)[1]
    _, first, index = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)  # samples in the order of the file
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    cells = [
        dict(zip(keys.values(), (column[int(i)].as_py() for column in columns), strict=True))
        for i in first[order]
    ]
    located = [(Spot(head, row=int(i)), row) for i, row in zip(first[order], cells, strict=True)]
    samples = sample_rows(located, list(keys.values()), head.path, options)
    if "trial" in keys:
        # Names of patients repeat between trials, as Calabria's do.
        for sample in samples:
            sample["subject"] = "_".join(filter(None, (sample["trial"], sample["subject"])))
    for sample, row in zip(samples, cells, strict=True):
        sample["other"] = {}
        if "sample" not in keys:
            sample["sample"] = _name(sample, row, keys)
    _refuse_two_of_a_name(samples, head)
    return samples, rank[index]


def _name(sample: Mapping, row: Mapping[str, str], keys: Mapping[str, str]) -> str:
    """Name a sample as ISAnalytics aggregates: subject, marker, tissue, time; then what else differs."""
    month = "" if sample["month"] is None else month_cell(sample["month"])
    further = [row[keys[name]] for name in ("replicate", "assay") if name in keys]
    return "_".join([sample["subject"], sample["marker"], sample.get("tissue", ""), month, *further])


def _refuse_two_of_a_name(samples: Sequence[Mapping], head: Header) -> None:
    seen: dict[str, Mapping] = {}
    for sample in samples:
        name = sample["sample"]
        if name in seen:
            differ = [key for key in sample if sample[key] != seen[name].get(key)]
            of = ", ".join(differ) or "assay"
            raise UserError(
                f"{head.path}: sample {name!r} has rows that differ in {of}; they are two samples"
            )
        seen[name] = sample


def _sheet_samples(
    table: pa.Table, column: str, sheet: Mapping[str, dict], head: Header, options: Options
) -> tuple[list[dict], np.ndarray]:
    """Look samples up in their table; return these and the index of each row."""
    names = whole_array(table[column])
    place_of = {name: at for at, name in enumerate(sheet)}
    for code, name in enumerate(names.dictionary.to_pylist()):
        if name not in place_of:
            row = int(np.flatnonzero(names.indices.to_numpy() == code)[0])
            raise UserError(
                f"{head.path}, line {line_of(head, row)}: sample {name!r} is not in {options.metadata}"
            )
    lookup = np.array([place_of[name] for name in names.dictionary.to_pylist()], np.int64)
    index = lookup[names.indices.to_numpy()] if len(lookup) else np.zeros(0, np.int64)
    return list(sheet.values()), index


def _of_assay(table: pa.Table, column: str, assay: str, head: Header) -> np.ndarray:
    """Return which rows are of an assay, as the column says."""
    right = pc.equal(table[column].cast(pa.string()), assay).to_numpy()
    if not right.any():
        raise UserError(f"{head.path}, column assay: holds no {assay}")
    return right


def _rows(
    table: pa.Table,
    head: Header,
    layout: Layout,
    column: str,
    samples: list[dict],
    index: np.ndarray,
    chosen: np.ndarray,
    assay: str,
    options: Options,
) -> Rows:
    """Check the counts of the chosen rows, and drop zeros and what another assay alone measured."""
    empty = table[column].is_null().to_numpy()
    if len(layout.counts) == 1 and (empty & chosen).any():
        row = int(np.flatnonzero(empty & chosen)[0])
        raise UserError(f"{head.path}, line {line_of(head, row)}, column {column}: the count is empty")
    at = np.flatnonzero(chosen & ~empty)
    counts = table[column].to_numpy()[at]
    check_counts(head, counts, at, column, is_estimate(assay, options))
    at, counts = at[counts > 0], counts[counts > 0]
    taken = pa.array(at)
    clone = whole_array(table[layout.clone])
    if "" in (names := clone.dictionary.to_pylist()):
        nameless = np.flatnonzero(clone.indices.to_numpy()[at] == names.index(""))
        if len(nameless):
            line = line_of(head, int(at[nameless[0]]))
            raise UserError(f"{head.path}, line {line}, column {layout.clone}: the clone has no name")
    places = _places(table, clone, layout, head)
    rows = Rows(
        samples,
        index[at],
        clone.take(taken),
        counts,
        {name: array.take(taken) for name, array in places.items()},
        head,
        at,
    )
    refuse_repeats(rows)
    return rows


def _places(table: pa.Table, clone: pa.DictionaryArray, layout: Layout, head: Header) -> dict[str, pa.Array]:
    """Return where clones sit: from columns if there are, else from names that are posids."""
    places = {}
    if {"chromosome", "position", "strand"} <= layout.place.keys():
        of = {name: table[layout.place[name]] for name in ("chromosome", "position", "strand")}
        of = {name: column.combine_chunks() for name, column in of.items()}
        prefix = Prefix(head.path, layout.place["chromosome"])
        places = {**of, "chromosome": prefix.strip(of["chromosome"])}
        stated = pc.not_equal(places["chromosome"], "")
        check_strand(of["strand"].filter(stated), head.path, layout.place["strand"])
    else:
        places = places_of_names(clone, head)
    if "gene" in layout.place:
        places["gene"] = whole_array(table[layout.place["gene"]])
    return places


def places_of_names(clone: pa.DictionaryArray, head: Header) -> dict[str, pa.Array]:
    """Return chromosome, position and strand of clones whose names are posids."""
    names = clone.dictionary.to_pylist()
    found = [place(name) or ("", None, "") for name in names]
    sites = [name for name, site in zip(names, found, strict=True) if site[0]]
    Prefix(head.path, "of clones").strip(pa.array([name[:3] for name in sites], pa.string()))
    columns = zip(*found, strict=True) if found else ((), (), ())
    types = (pa.string(), pa.int64(), pa.string())
    return {
        name: pa.array(column, type_).take(clone.indices)
        for name, column, type_ in zip(("chromosome", "position", "strand"), columns, types, strict=True)
    }


def _refuse_repeated_reads(
    rows: Rows, reads: np.ndarray, column: str, reads_column: str, options: Options
) -> Rows:
    """Refuse or drop samples whose fragments are the reads once more, as LAM-PCR leaves them."""
    telling = rows.count >= _TELLING
    agreeing = telling & (rows.count == reads[rows.row])
    told, agree = (np.bincount(rows.sample[of], minlength=len(rows.samples)) for of in (telling, agreeing))
    repeats = agree > _MOST_AGREEING * told
    if not repeats.any():
        return rows
    names = [sample["sample"] for sample, yes in zip(rows.samples, repeats, strict=True) if yes]
    if options.repeated == "refuse":
        raise UserError(
            f"{rows.head.path}: in {len(names)} samples, the first {names[0]!r}, {column} repeats "
            f"{reads_column}, so they hold reads, which cannot be compared with fragments; say "
            "repeated='drop', or assay='reads'"
        )
    return _keep_samples(rows, ~repeats)


def _keep_samples(rows: Rows, keep: np.ndarray) -> Rows:
    """Return the rows of some samples."""
    at = np.flatnonzero(keep[rows.sample])
    taken = pa.array(at)
    return Rows(
        [sample for sample, yes in zip(rows.samples, keep, strict=True) if yes],
        (np.cumsum(keep) - 1)[rows.sample[at]],
        rows.clone.take(taken),
        rows.count[at],
        {name: array.take(taken) for name, array in rows.place.items()},
        rows.head,
        rows.row[at],
    )


def _wanted(rows: Rows, options: Options, several: bool) -> Rows:
    """Leave out other subjects; and, of several assays, samples that this one did not measure."""
    keep = np.array([options.wants(sample["subject"]) for sample in rows.samples], bool)
    if several and options.metadata is None:
        keep &= np.bincount(rows.sample, minlength=len(rows.samples)) > 0
    return rows if keep.all() else _keep_samples(rows, keep)


# Writing


def write(observations: Sequence[Observations], folder: Path) -> list[Path]:
    """Write ``clones.tsv.gz`` and ``samples.tsv``; the column of counts is called as the assay."""
    one = observations[0]
    check_names(one.samples)
    table = one.clones.select(["subject", "month", "tissue", "lineage", "sample", "clone"])
    table = table.append_column("count" if one.assay == "unstated" else one.assay, whole(one.clones["count"]))
    for name in PLACE:
        column = one.clones[name]
        blank = column.is_null() if name == "position" else pc.equal(column.cast(pa.string()), "")
        if not pc.all(blank).as_py():
            table = table.append_column(name, column)
    write_table(folder / CLONES_FILE, table)
    own = {name: name for name in FIELDS}
    write_samples(
        folder / SAMPLES_FILE,
        one.samples,
        {name: own[name] for name in ("sample", "subject", "tissue", "marker")},
        lambda month: {"month": month_cell(month)},
    )
    return [folder / CLONES_FILE, folder / SAMPLES_FILE]


def is_long(names: Sequence[str]) -> bool:
    """Whether columns are those of a plain long table."""
    plains = {plain(name) for name in names}
    counted = any(plains & set(words) for words in COUNTS.values())
    return bool(plains & set(MEANINGS["clone"])) and counted
