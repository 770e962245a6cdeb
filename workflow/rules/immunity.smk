# Immunity: reconstitution for age, a pathogen challenge, and the composite score.


rule assess:
    input:
        patients="results/{study}/plan/{arm}/patients.parquet",
        counts="results/{study}/blood/{arm}/counts.parquet",
    output:
        reconstitution=temp(
            "results/{study}/.batches/immunity/{arm}/{batch}/reconstitution.parquet"
        ),
        challenges=temp(
            "results/{study}/.batches/immunity/{arm}/{batch}/challenges.parquet"
        ),
        scores=temp("results/{study}/.batches/immunity/{arm}/{batch}/scores.parquet"),
    log:
        "results/{study}/logs/immunity/{arm}/{batch}.log",
    benchmark:
        "results/{study}/benchmarks/immunity/{arm}/{batch}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=30,
    params:
        patients=patients_in,
        settings=settings_of("immunity"),
        code=code_hash("immunity"),
    message:
        "Immunity of arm {wildcards.arm}, patients {wildcards.batch}"
    script:
        "../scripts/assess.py"


use rule gather as gather_immunity with:
    input:
        reconstitution=batches_of(rules.assess.output.reconstitution),
        challenges=batches_of(rules.assess.output.challenges),
        scores=batches_of(rules.assess.output.scores),
    output:
        reconstitution="results/{study}/immunity/{arm}/reconstitution.parquet",
        challenges="results/{study}/immunity/{arm}/challenges.parquet",
        scores="results/{study}/immunity/{arm}/scores.parquet",
    log:
        "results/{study}/logs/immunity/{arm}/gather.log",
    benchmark:
        "results/{study}/benchmarks/immunity/{arm}/gather.tsv"
    message:
        "Immunity of arm {wildcards.arm}: gathering the batches"
