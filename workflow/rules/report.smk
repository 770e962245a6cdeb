# Report: one page to read, and the manifest, written last.


ANSWERS = [
    path
    for one in (
        rules.fit_surrogates,
        rules.fit_early,
        rules.sensitivity,
        rules.uncertainty,
        rules.run_trials,
        rules.verify_design,
    )
    for path in one.output
    if path.endswith(".csv")
]


rule report:
    input:
        **{
            name: arms_of(f"results/{{study}}/immunity/{{arm}}/{name}.parquet")
            for name in [*IMMUNITY, "score_ranges"]
            if name != "clone_clonotypes"
        },
        study="results/{study}/study.yaml",
        outcomes="results/{study}/outcomes.parquet",
        answers=ANSWERS,
        patients=arms_of("results/{study}/plan/{arm}/patients.parquet"),
        products=arms_of("results/{study}/product/{arm}/products.parquet"),
        clones=arms_of("results/{study}/product/{arm}/clones.parquet"),
        sites=arms_of("results/{study}/product/{arm}/sites.parquet"),
        marrow=arms_of("results/{study}/engraftment/{arm}/marrow.parquet"),
        clone_sizes=arms_of("results/{study}/engraftment/{arm}/clone_sizes.parquet"),
        transformations=arms_of(
            "results/{study}/engraftment/{arm}/transformations.parquet"
        ),
        counts=arms_of("results/{study}/blood/{arm}/counts.parquet"),
        readouts=arms_of("results/{study}/blood/{arm}/readouts.parquet"),
        integration_sites=arms_of(
            "results/{study}/blood/{arm}/integration_sites.parquet"
        ),
        # The hash of the code sees Python alone.
        page=[
            workflow.source_path(f"../../hsc_pipeline/report/{part}")
            for part in ("template.html", "page.css", "page.js", "validation.csv")
        ],
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
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        arms=list(STUDY.arms),
        code=code_hash("report"),
    message:
        "Report"
    script:
        "../scripts/report.py"


rule manifest:
    input:
        study="results/{study}/study.yaml",
        report="results/{study}/report.html",
        outcomes=[
            *rules.outcomes.output,
            *[arms_of(path) for path in rules.summarise_arm.output],
        ],
        asked=[
            expand(
                path,
                ensemble=name,
                arm=ensemble.arms,
                allow_missing=True,
            )
            for name, ensemble in STUDY.ensembles.items()
            for path in [*rules.ask_points.output, *rules.gather_points.output]
        ],
        points=[
            expand(path, ensemble=STUDY.ensembles, allow_missing=True)
            for path in rules.join_points.output
        ],
        models=[
            *ANSWERS,
            rules.fit_surrogates.output.models,
            rules.fit_surrogates.output.card,
        ],
        plan=[arms_of(path) for path in rules.plan_patients.output],
        product=[arms_of(path) for path in rules.gather_product.output],
        engraftment=[arms_of(path) for path in rules.gather_engraftment.output],
        blood=[arms_of(path) for path in rules.gather_blood.output],
        immunity=[
            arms_of(path)
            for path in [*rules.gather_immunity.output, *rules.score_ranges.output]
        ],
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
