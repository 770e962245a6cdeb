# Tracking: measured tables of clones become one tidy form, a table a topic, and a report.
from hsc_pipeline.tracking.early import check_tables

# A mistake in a table is told before any job, and not again by the processes of the jobs.
if workflow.is_main_process:
    try:
        check_tables(STUDY)
    except UserError as error:
        sys.exit(f"{error}")


rule read_tables:
    input:
        STUDY.files(),
    output:
        clones="results/{study}/tracking/clones.parquet",
        samples="results/{study}/tracking/samples.parquet",
        assay="results/{study}/tracking/assay.txt",
        near_sites="results/{study}/tracking/near_sites.csv",
        collisions="results/{study}/tracking/collisions.csv",
    log:
        "results/{study}/logs/tracking/read.log",
    benchmark:
        "results/{study}/benchmarks/tracking/read.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings={
            name: STUDY.as_dict()[name] for name in ("tables", "sites", "stem_cells")
        },
        code=code_hash("formats", "tracking.series"),
    message:
        "Tracking: reading the tables"
    script:
        "../scripts/read_tables.py"


rule measure_topic:
    input:
        clones=rules.read_tables.output.clones,
        samples=rules.read_tables.output.samples,
        assay=rules.read_tables.output.assay,
        beside=lambda wildcards: STUDY.beside_of(wildcards.topic),
    output:
        parquet="results/{study}/tracking/{topic}.parquet",
        csv="results/{study}/tracking/{topic}.csv",
    log:
        "results/{study}/logs/tracking/{topic}.log",
    benchmark:
        "results/{study}/benchmarks/tracking/{topic}.tsv"
    wildcard_constraints:
        topic="|".join(STUDY.topics),
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        settings=lambda wildcards: STUDY.settings(wildcards.topic),
        code=code_hash("tracking.topics"),
    message:
        "Tracking: {wildcards.topic}"
    script:
        "../scripts/measure_topic.py"


rule tracking_report:
    input:
        clones=rules.read_tables.output.clones,
        samples=rules.read_tables.output.samples,
        assay=rules.read_tables.output.assay,
        near_sites=rules.read_tables.output.near_sites,
        collisions=rules.read_tables.output.collisions,
        topics=expand(
            rules.measure_topic.output.parquet,
            topic=STUDY.topics,
            allow_missing=True,
        ),
    output:
        report(
            "results/{study}/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"study": "{study}", "what": "the page to read"},
        ),
    log:
        "results/{study}/logs/report.log",
    benchmark:
        "results/{study}/benchmarks/report.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings=STUDY.as_dict(),
        topics=STUDY.topics,
        code=code_hash("tracking.page"),
    message:
        "Tracking: report"
    script:
        "../scripts/tracking_report.py"


rule tracking_manifest:
    input:
        rules.tracking_report.output,
        rules.read_tables.output,
        rules.tracking_report.input.topics,
        expand(rules.measure_topic.output.csv, topic=STUDY.topics, allow_missing=True),
        snakefile=workflow.source_path("../Snakefile"),
    output:
        manifest=report(
            "results/{study}/manifest.json",
            caption="../report/manifest.rst",
            category="Provenance",
            labels={"what": "checksums, versions, seed"},
        ),
        given="results/{study}/given.yaml",
        workflow="results/{study}/workflow/Snakefile",
        crate="results/{study}/ro-crate-metadata.json",
    log:
        "results/{study}/logs/manifest.log",
    benchmark:
        "results/{study}/benchmarks/manifest.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        seed=STUDY.file.seed,
        given=given_file(),
        code=code_hash("manifest", "crate"),
    message:
        "Manifest: checksums of every file, and the crate"
    script:
        "../scripts/manifest.py"


rule tracking:
    input:
        f"results/{STUDY.name}/manifest.json",
    localrule: True
