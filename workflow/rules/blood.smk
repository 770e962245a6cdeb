# Blood: counts and corrected cells of each lineage, and what a laboratory reads of the clones.


rule bleed:
    input:
        patients="results/{study}/plan/{arm}/patients.parquet",
        events="results/{study}/plan/{arm}/events.parquet",
        products="results/{study}/product/{arm}/products.parquet",
        clones="results/{study}/product/{arm}/clones.parquet",
        sites="results/{study}/product/{arm}/sites.parquet",
        marrow="results/{study}/engraftment/{arm}/marrow.parquet",
        clone_sizes="results/{study}/engraftment/{arm}/clone_sizes.parquet",
    output:
        counts=temp("results/{study}/.batches/blood/{arm}/{batch}/counts.parquet"),
        recovery=temp("results/{study}/.batches/blood/{arm}/{batch}/recovery.parquet"),
        readouts=temp("results/{study}/.batches/blood/{arm}/{batch}/readouts.parquet"),
        samples=temp("results/{study}/.batches/blood/{arm}/{batch}/samples.parquet"),
        integration_sites=temp(
            "results/{study}/.batches/blood/{arm}/{batch}/integration_sites.parquet"
        ),
        alleles=temp("results/{study}/.batches/blood/{arm}/{batch}/alleles.parquet"),
    log:
        "results/{study}/logs/blood/{arm}/{batch}.log",
    benchmark:
        "results/{study}/benchmarks/blood/{arm}/{batch}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=minutes_of_a_job,
    params:
        patients=patients_in,
        settings=settings_of("blood"),
        code=code_hash("blood"),
    message:
        "Blood of arm {wildcards.arm}, patients {wildcards.batch}"
    script:
        "../scripts/bleed.py"


use rule gather as gather_blood with:
    input:
        counts=batches_of(rules.bleed.output.counts),
        recovery=batches_of(rules.bleed.output.recovery),
        readouts=batches_of(rules.bleed.output.readouts),
        samples=batches_of(rules.bleed.output.samples),
        integration_sites=batches_of(rules.bleed.output.integration_sites),
        alleles=batches_of(rules.bleed.output.alleles),
    output:
        counts="results/{study}/blood/{arm}/counts.parquet",
        recovery="results/{study}/blood/{arm}/recovery.parquet",
        readouts="results/{study}/blood/{arm}/readouts.parquet",
        samples="results/{study}/blood/{arm}/samples.parquet",
        integration_sites="results/{study}/blood/{arm}/integration_sites.parquet",
        alleles="results/{study}/blood/{arm}/alleles.parquet",
    log:
        "results/{study}/logs/blood/{arm}/gather.log",
    benchmark:
        "results/{study}/benchmarks/blood/{arm}/gather.tsv"
    message:
        "Blood of arm {wildcards.arm}: gathering the batches"
