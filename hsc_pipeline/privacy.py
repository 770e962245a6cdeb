"""Pseudonyms: hashes in place of patients, samples and integration sites in what leaves the laboratory.

The key of the hash is made of the tables themselves.  Who has them knows the names anyway; who has not
cannot try names out.  So the same tables give the same pseudonyms, with no key to keep.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

SHOWN, HASHED = "shown", "hashed"
COARSE = 1_000_000  # bases to which windows of the genome are rounded

# Columns that name somebody or a place in the genome, by what they name.
NAMING: Mapping[str, str] = {
    "subject": "subject",
    "sample": "sample",
    "clone": "clone",
    "near_to": "clone",
}
ROUNDED = ("start", "end")
EMPTIED = ("position",)
BLANKED = ("strand", "replicate", "trial")
DROPPED = "other"  # further columns of a file of samples, whatever they hold


class Pseudonyms:
    """Names in place of names.

    Parameters
    ----------
    key : bytes
        At most 64; see `key_of`.
    """

    def __init__(self, key: bytes):
        self._key = key
        self._known = cache(self._made)

    def of(self, kind: str, name: str) -> str:
        """Return the pseudonym of a name, such as ``subject-5b0f36a2c9d1``; empty text stays empty.

        Parameters
        ----------
        kind : str
            ``subject``, ``sample``, ``clone`` or ``file``; one name has another pseudonym in each.
        name : str
        """
        return self._known(kind, str(name)) if name else ""

    def _made(self, kind: str, name: str) -> str:
        # Of 10^5 clones, two share 48 bits with a chance of 2 in 10^5; `archive` refuses that.
        digest = hashlib.blake2b(name.encode(), digest_size=6, key=self._key, person=kind.encode())
        return f"{kind}-{digest.hexdigest()}"

    def frame(self, rows):
        """Return a data frame with pseudonyms in its columns of `NAMING`, and windows rounded."""
        for name in rows.columns.intersection([*NAMING]):
            rows = rows.assign(**{name: self._column(rows[name], NAMING[name])})
        if "chromosome" in rows.columns:
            for name in rows.columns.intersection([*ROUNDED]):
                rows = rows.assign(**{name: rows[name] // COARSE * COARSE})
        return rows

    def _column(self, values, kind: str):
        names = {name: self.of(kind, name) for name in values.dropna().unique()}
        return values.astype(object).map(names).where(values.notna(), None)

    def names(self, table):
        """Return a pyarrow table with pseudonyms in its columns of `NAMING`."""
        for place, field in enumerate(table.schema):
            if field.name in NAMING:
                table = table.set_column(place, field, self._array(table.column(place), field))
        return table

    def _array(self, column, field):
        import pyarrow as pa
        import pyarrow.compute as pc

        kind, plain = NAMING[field.name], column.cast(pa.string())
        known = pc.unique(plain)
        made = pa.array([None if name is None else self.of(kind, name) for name in known.to_pylist()])
        return pc.take(made, pc.index_in(plain, known)).cast(pa.string()).cast(field.type)

    def table(self, table):
        """Return a pyarrow table without names or places: `names`, windows rounded, positions empty."""
        import pyarrow as pa

        table = self.names(table)
        for place, field in enumerate(table.schema):
            column = table.column(place)
            if field.name in ROUNDED and "chromosome" in table.column_names:
                column = [value // COARSE * COARSE for value in column.to_pylist()]
            elif field.name in (*EMPTIED, *BLANKED, DROPPED):
                blank = None if field.name in EMPTIED else [] if field.name == DROPPED else ""
                column = [blank] * len(column)
            else:
                continue
            table = table.set_column(
                place,
                field,
                pa.array(column, pa.string() if pa.types.is_dictionary(field.type) else field.type).cast(
                    field.type
                ),
            )
        return table

    def settings(self, content: Mapping) -> dict:
        """Return the content of a tracking file without the names in it: files and subjects."""
        hidden = {key: self._file(value) if key in FILES else value for key, value in content.items()}
        hidden["tables"] = [self._entry(entry) for entry in content["tables"]]
        marrow = content.get("stem_cells", {})
        if marrow.get("copies_by_subject"):
            copies = {self.of("subject", name): n for name, n in marrow["copies_by_subject"].items()}
            hidden["stem_cells"] = {**marrow, "copies_by_subject": copies}
        return hidden

    def _entry(self, entry: Mapping) -> dict:
        hidden = {key: self._file(value) if key in FILES else value for key, value in entry.items()}
        if entry.get("subject"):
            hidden["subject"] = self.of("subject", entry["subject"])
        if entry.get("subjects"):
            hidden["subjects"] = [self.of("subject", name) for name in entry["subjects"]]
        return hidden

    def _file(self, path: str | None) -> str | None:
        return path and self.of("file", path)


class Numbers(Pseudonyms):
    """Numbers in place of names, for results that hold names nowhere but in the file that was given."""

    def __init__(self):
        super().__init__(b"")
        self._numbers: dict[str, list[str]] = {}

    def _made(self, kind: str, name: str) -> str:
        known = self._numbers.setdefault(kind, [])
        known.append(name)
        return f"{kind}-{len(known)}"

    def table(self, table):
        """Return the table, which names nobody."""
        return table

    def settings(self, content: Mapping) -> dict:
        """Return the content of a calibration file without the names in it: files and subjects."""
        hidden = super().settings(content)
        hidden["patients"] = [
            {**one, "subject": self.of("subject", one["subject"])} for one in content["patients"]
        ]
        return hidden


FILES = ("path", "metadata", "colonies", "clinical", "genes", "gene_lengths", "background")


def key_of(clones: str | Path, samples: str | Path) -> bytes:
    """Return the key of a result folder, made of its two tidy tables.

    It can't be told from their SHA-256, which the manifest holds.
    """
    digest = hashlib.blake2b(digest_size=32, person=b"hsc_pipeline")
    for path in (clones, samples):
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.digest()


def pseudonyms_of(folder: str | Path) -> Pseudonyms:
    """Return the pseudonyms of a result folder of a tracking or calibration run."""
    if (Path(folder) / "calibration").is_dir():
        return Numbers()
    folder = Path(folder) / "tracking"
    return Pseudonyms(key_of(folder / "clones.parquet", folder / "samples.parquet"))
