# Engraftment: conditioning, free niches and competition give stem cells per clone at every visit.


rule engraft:
    input:
        patients="results/{study}/plan/{arm}/patients.parquet",
        events="results/{study}/plan/{arm}/events.parquet",
        products="results/{study}/product/{arm}/products.parquet",
        clones="results/{study}/product/{arm}/clones.parquet",
        drivers="results/{study}/product/{arm}/drivers.parquet",
    output:
        marrow=temp("results/{study}/.batches/engraftment/{arm}/{batch}/marrow.parquet"),
        clone_sizes=temp(
            "results/{study}/.batches/engraftment/{arm}/{batch}/clone_sizes.parquet"
        ),
        grafts=temp("results/{study}/.batches/engraftment/{arm}/{batch}/grafts.parquet"),
        driver_clones=temp(
            "results/{study}/.batches/engraftment/{arm}/{batch}/driver_clones.parquet"
        ),
        transformations=temp(
            "results/{study}/.batches/engraftment/{arm}/{batch}/transformations.parquet"
        ),
    log:
        "results/{study}/logs/engraftment/{arm}/{batch}.log",
    benchmark:
        "results/{study}/benchmarks/engraftment/{arm}/{batch}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=minutes_of_a_job,
    params:
        patients=patients_in,
        settings=settings_of("engraftment"),
        code=code_hash("engraftment"),
    message:
        "Engraftment of arm {wildcards.arm}, patients {wildcards.batch}"
    script:
        "../scripts/engraft.py"


use rule gather as gather_engraftment with:
    input:
        marrow=batches_of(rules.engraft.output.marrow),
        clone_sizes=batches_of(rules.engraft.output.clone_sizes),
        grafts=batches_of(rules.engraft.output.grafts),
        driver_clones=batches_of(rules.engraft.output.driver_clones),
        transformations=batches_of(rules.engraft.output.transformations),
    output:
        marrow="results/{study}/engraftment/{arm}/marrow.parquet",
        clone_sizes="results/{study}/engraftment/{arm}/clone_sizes.parquet",
        grafts="results/{study}/engraftment/{arm}/grafts.parquet",
        driver_clones="results/{study}/engraftment/{arm}/driver_clones.parquet",
        transformations="results/{study}/engraftment/{arm}/transformations.parquet",
    log:
        "results/{study}/logs/engraftment/{arm}/gather.log",
    benchmark:
        "results/{study}/benchmarks/engraftment/{arm}/gather.tsv"
    message:
        "Engraftment of arm {wildcards.arm}: gathering the batches"
