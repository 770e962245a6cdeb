# Product: CD34+ cells become long-term stem cells with their copies, sites or edited alleles, and drivers.


rule make_products:
    input:
        patients="results/{study}/plan/{arm}/patients.parquet",
    output:
        products=temp("results/{study}/.batches/product/{arm}/{batch}/products.parquet"),
        clones=temp("results/{study}/.batches/product/{arm}/{batch}/clones.parquet"),
        sites=temp("results/{study}/.batches/product/{arm}/{batch}/sites.parquet"),
        drivers=temp("results/{study}/.batches/product/{arm}/{batch}/drivers.parquet"),
    log:
        "results/{study}/logs/product/{arm}/{batch}.log",
    benchmark:
        "results/{study}/benchmarks/product/{arm}/{batch}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=minutes_of_a_job,
    params:
        patients=patients_in,
        settings=settings_of("product"),
        code=code_hash("product"),
    message:
        "Product of arm {wildcards.arm}, patients {wildcards.batch}"
    script:
        "../scripts/make_products.py"


use rule gather as gather_product with:
    input:
        products=batches_of(rules.make_products.output.products),
        clones=batches_of(rules.make_products.output.clones),
        sites=batches_of(rules.make_products.output.sites),
        drivers=batches_of(rules.make_products.output.drivers),
    output:
        products="results/{study}/product/{arm}/products.parquet",
        clones="results/{study}/product/{arm}/clones.parquet",
        sites="results/{study}/product/{arm}/sites.parquet",
        drivers="results/{study}/product/{arm}/drivers.parquet",
    log:
        "results/{study}/logs/product/{arm}/gather.log",
    benchmark:
        "results/{study}/benchmarks/product/{arm}/gather.tsv"
    message:
        "Product of arm {wildcards.arm}: gathering the batches"
