# Uncertainty: what the catalogue's uncertain values do to the outcomes, and which to measure better.


rule sensitivity:
    input:
        study="results/{study}/study.yaml",
        uncertainty=points_if_any("uncertainty", "points", "outcomes"),
        sweep=points_if_any("sweep", "points", "outcomes"),
    output:
        sensitivity="results/{study}/models/sensitivity.csv",
        sensitivity_surrogates="results/{study}/models/sensitivity_surrogates.csv",
        worth_measuring="results/{study}/models/worth_measuring.csv",
    log:
        "results/{study}/logs/models/sensitivity.log",
    benchmark:
        "results/{study}/benchmarks/models/sensitivity.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        seed=STUDY.file.seed,
        code=code_hash("models.sensitivity", "points"),
    message:
        "Models: sensitivity of the outcomes to uncertain values"
    script:
        "../scripts/sensitivity.py"


rule uncertainty:
    input:
        study="results/{study}/study.yaml",
        outcomes="results/{study}/outcomes.parquet",
        uncertainty=points_if_any("uncertainty", "outcomes", "failed"),
    output:
        "results/{study}/models/uncertainty.csv",
    log:
        "results/{study}/logs/models/uncertainty.log",
    benchmark:
        "results/{study}/benchmarks/models/uncertainty.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_hash("models.uncertainty", "points"),
    message:
        "Models: whose uncertainty"
    script:
        "../scripts/uncertainty.py"
