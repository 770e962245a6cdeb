# Models: what drives the outcomes, against baselines, by grouped validation.


rule fit_surrogates:
    input:
        outcomes="results/{study}/outcomes.parquet",
    output:
        performance="results/{study}/models/performance.csv",
        importance="results/{study}/models/importance.csv",
        predictions="results/{study}/models/predictions.csv",
    log:
        "results/{study}/logs/models/surrogates.log",
    benchmark:
        "results/{study}/benchmarks/models/surrogates.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        seed=STUDY.file.seed,
        code=code_hash("models"),
    message:
        "Models: surrogates of the outcomes, with their baselines"
    script:
        "../scripts/fit_surrogates.py"
