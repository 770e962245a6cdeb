# Gather: a template for the rules that join an arm's batches into one table each.


rule gather:
    log:
        "results/{study}/logs/gather.log",
    benchmark:
        "results/{study}/benchmarks/gather.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_hash("tables"),
    script:
        "../scripts/gather.py"
