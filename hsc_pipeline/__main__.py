"""Command line: ``python -m hsc_pipeline``."""

import argparse
import os
import sys
from collections.abc import Sequence

from hsc_pipeline import __version__
from hsc_pipeline.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 good, 1 something found, 2 a mistake in the call."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may come next
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, a subparser for each command."""
    parser = argparse.ArgumentParser(
        prog="python -m hsc_pipeline",
        description="Studies of gene-corrected stem cells; run them with snakemake.",
        epilog="Exit codes: 0 good, 1 something found, 2 a mistake in the call or in a file.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    verify = commands.add_parser("verify", help="check a result folder against its manifest")
    verify.add_argument("folder", help="results/<study>")
    verify.set_defaults(run=_verify)

    reproduce = commands.add_parser("reproduce", help="run a study again from its results, and compare")
    reproduce.add_argument("folder", help="results/<study>")
    reproduce.add_argument("--cores", type=int, default=1, metavar="N", help="1 by default")
    reproduce.set_defaults(run=_reproduce)

    archive = commands.add_parser("archive", help="pack a result folder into one zip to deposit")
    archive.add_argument("folder", help="results/<study>")
    archive.add_argument("--out", required=True, metavar="FILE", help="the zip to write")
    archive.set_defaults(run=_archive)

    compare = commands.add_parser("compare", help="set two finished studies side by side on a page")
    compare.add_argument("first", help="results/<study>")
    compare.add_argument("second", help="results/<study>; differences are the second minus the first")
    compare.add_argument(
        "--out", default="comparison.html", metavar="PAGE", help="comparison.html by default"
    )
    compare.set_defaults(run=_compare)

    check = commands.add_parser("check", help="check a file of any kind without running it")
    check.add_argument("file", help="study file, YAML")
    check.set_defaults(run=_check)

    schema = commands.add_parser("schema", help="print the JSON Schema of a kind of file")
    schema.add_argument("kind", nargs="?", default="study", choices=("study", "tracking", "calibration"))
    schema.set_defaults(run=_schema)

    catalogue = commands.add_parser("catalogue", help="list the catalogue, or print one entry of it")
    name = catalogue.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a disease, product, modification or value, such as was or edit.goal",
    )
    name.completer = _catalogue_names  # type: ignore[attr-defined]  # argcomplete asks for it
    catalogue.add_argument(
        "--own",
        action="store_true",
        help="only what a disease or product sets itself, as YAML to begin an entry of one's own with",
    )
    catalogue.set_defaults(run=_catalogue)

    export = commands.add_parser("export", help="write a study as files of the field, with the truth")
    export.add_argument("study", help="results/<study>")
    export.add_argument("--format", required=True, help="isanalytics, gt23, barcodetrackr or long")
    export.add_argument("--out", required=True, metavar="FOLDER", help="a new folder")
    export.add_argument("--arms", nargs="+", default=(), metavar="ARM", help="some arms only")
    export.add_argument("--patients", type=int, metavar="N", help="the first N patients of each arm only")
    export.set_defaults(run=_export)

    metrics = commands.add_parser("metrics", help="diversity of every sample of a file of clones")
    metrics.add_argument(
        "file", metavar="FILE", help="a table of the field, plain or gz, or a folder of them"
    )
    metrics.add_argument(
        "--format", help="isanalytics, gt23, aavenger, barcodetrackr, long or airr; found out if not given"
    )
    metrics.add_argument("--out", required=True, metavar="TABLE", help="the CSV to write")
    metrics.set_defaults(run=_metrics)

    repertoire = commands.add_parser(
        "repertoire", help="write a patient's receptor sequences as an AIRR Rearrangement table"
    )
    repertoire.add_argument("study", help="results/<study>")
    repertoire.add_argument("--arm", required=True)
    repertoire.add_argument("--patient", type=int, required=True, metavar="N")
    repertoire.add_argument("--out", required=True, metavar="FILE", help="the TSV to write")
    repertoire.add_argument("--cell", default="cd4_t", help="cd4_t, cd8_t or b_cell")
    repertoire.add_argument("--month", type=float, help="a visit; the last one by default")
    repertoire.add_argument("--cells", type=int, default=1000, help="cells of the sample")
    repertoire.add_argument("--no-pgen", action="store_true", help="leave out generation probabilities")
    repertoire.set_defaults(run=_repertoire)

    epitopes = commands.add_parser(
        "epitopes", help="score the peptides of a product that are new to a patient"
    )
    epitopes.add_argument("protein", metavar="FASTA", help="the product's protein")
    epitopes.add_argument("--alleles", nargs="+", required=True, metavar="HLA", help="such as HLA-A*02:01")
    epitopes.add_argument("--own", metavar="FASTA", help="what the patient makes; nothing if not given")
    epitopes.add_argument("--lengths", nargs="+", type=int, default=(9,), help="of peptides, 8 to 11")
    epitopes.add_argument("--method", default="smm", help="smm or smmpmbec")
    epitopes.add_argument("--out", required=True, metavar="TABLE", help="the CSV to write")
    epitopes.set_defaults(run=_epitopes)

    predict = commands.add_parser("predict", help="foresee outcomes of patients by a study's models")
    predict.add_argument("model", metavar="MODEL", help="surrogates.skops, or the folder that holds it")
    predict.add_argument("table", metavar="TABLE", help="CSV or Parquet with the features of the model card")
    predict.add_argument("--out", required=True, metavar="CSV", help="the CSV to write")
    predict.set_defaults(run=_predict)

    return parser


def _catalogue_names(**_: object) -> list[str]:
    from hsc_pipeline.catalogue.listing import names

    return names()


def _verify(options: argparse.Namespace) -> int:
    from hsc_pipeline.manifest import verify

    problems = verify(options.folder)
    print("\n".join(problems) if problems else f"{options.folder}: every file is as the run left it")
    return 1 if problems else 0


def _reproduce(options: argparse.Namespace) -> int:
    from hsc_pipeline.reproduce import reproduce

    print(f"{options.folder}: running the study again; this takes as long as the run did", file=sys.stderr)
    same, said = reproduce(options.folder, options.cores)
    print("\n".join(said))
    return 0 if same else 1


def _archive(options: argparse.Namespace) -> int:
    from hsc_pipeline.archive import archive

    held = archive(options.folder, options.out)
    print(f"{options.out}: {held} files")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from hsc_pipeline.compare import compare

    compare(options.first, options.second, options.out)
    print(options.out)
    return 0


def _check(options: argparse.Namespace) -> int:
    from hsc_pipeline.study import load_study
    from hsc_pipeline.yaml_files import read_yaml

    content = read_yaml(options.file)
    if content.get("kind") == "tracking":
        from hsc_pipeline.tracking.early import check_tables
        from hsc_pipeline.tracking.settings import load_tracking

        tracking = load_tracking(content, options.file)
        samples = check_tables(tracking, largest=float("inf"))
        print(f"{options.file}: {samples} samples in {len(tracking.file.tables)} tables of clones")
        return 0
    if content.get("kind") == "calibration":
        return _check_calibration(content, options.file)
    study = load_study(content, options.file)
    arms = ", ".join(study.arms)
    print(f"{options.file}: {study.file.patients} patients in each of {len(study.arms)} arms ({arms})")
    print(f"disease: {study.file.disease}, {study.file.catalogue.title('diseases', study.file.disease)}")
    for product in dict.fromkeys(arm.product for arm in study.arms.values()):
        given = ", ".join(name for name, arm in study.arms.items() if arm.product == product)
        print(f"product of {given}: {product}, {study.file.catalogue.title('products', product)}")
    for name, points in study.ensembles.items():
        where = ", ".join(points.arms)
        print(f"{name}: {points.points} points, {points.patients} patients at each in {where}")
    print(f"time: about {max(1, round(study.core_minutes()))} minutes of one core")
    for unused in study.unused_entries():
        print(f"note: {unused} of the study's own catalogue is used by no arm")
    return 0


def _check_calibration(content: dict, where: str) -> int:
    from hsc_pipeline.calibration.early import check_calibration
    from hsc_pipeline.calibration.settings import load_calibration

    calibration = load_calibration(content, where)
    samples = check_calibration(calibration, largest=float("inf"))
    parameters = ", ".join(calibration.structures[calibration.fitted].parameters)
    simulations = sum(calibration.simulations(s) * calibration.rounds_of(s) for s in calibration.structures)
    whose = "1 patient" if calibration.patients == 1 else f"{calibration.patients} patients"
    print(f"{where}: {samples} samples of {whose}; {simulations:,} simulations")
    print(f"fits {parameters}")
    return 0


def _schema(options: argparse.Namespace) -> int:
    from importlib import import_module

    places = {"tracking": "tracking.settings", "calibration": "calibration.settings", "study": "study"}
    print(import_module(f"hsc_pipeline.{places[options.kind]}").json_schema(), end="")
    return 0


def _catalogue(options: argparse.Namespace) -> int:
    from hsc_pipeline.catalogue.listing import describe, overview, own_entry

    if options.own and options.name is None:
        raise UserError("catalogue --own: name a disease or product")
    try:
        if options.own:
            print(own_entry(options.name), flush=True)
        else:
            print(overview() if options.name is None else describe(options.name), flush=True)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _export(options: argparse.Namespace) -> int:
    from hsc_pipeline.formats.export import export

    made = export(options.study, options.format, options.out, arms=options.arms, patients=options.patients)
    print("\n".join(str(path) for path in made))
    return 0


def _metrics(options: argparse.Namespace) -> int:
    from hsc_pipeline.tracking.metrics import write_metrics

    samples = write_metrics(options.file, options.out, options.format)
    print(f"{options.out}: {samples} samples")
    return 0


def _repertoire(options: argparse.Namespace) -> int:
    from hsc_pipeline.immunity.sequences import write_repertoire

    clonotypes = write_repertoire(
        options.study,
        options.out,
        arm=options.arm,
        patient=options.patient,
        cell=options.cell,
        month=options.month,
        cells=options.cells,
        probabilities=not options.no_pgen,
    )
    print(f"{options.out}: {clonotypes} clonotypes")
    return 0


def _epitopes(options: argparse.Namespace) -> int:
    from hsc_pipeline.immunity.epitopes import write_epitopes

    scored = write_epitopes(
        options.protein,
        options.out,
        alleles=options.alleles,
        own=options.own,
        lengths=options.lengths,
        method=options.method,
    )
    binders = sum(scored.column("binds").to_pylist())
    print(f"{options.out}: {scored.num_rows} peptides by allele, {binders} bind below 500 nM")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from hsc_pipeline.models.predict import predict_file

    predicted = predict_file(options.model, options.table, options.out)
    print(f"{options.out}: {predicted} predictions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
