# Immunity: reconstitution, repertoire, challenges, vaccines, tolerance and infections, and the composite.

IMMUNITY = [
    "reconstitution",
    "immune_markers",
    "milestones",
    "repertoire",
    "clone_clonotypes",
    "challenges",
    "challenge_courses",
    "vaccine_responses",
    "titres",
    "immunogenicity",
    "autoimmune_reset",
    "graft_effects",
    "infection_risk",
    "infection_episodes",
    "scores",
]
IN_BATCHES = {
    name: f"results/{{study}}/.batches/immunity/{{arm}}/{{batch}}/{name}.parquet"
    for name in IMMUNITY
}


rule assess:
    input:
        patients="results/{study}/plan/{arm}/patients.parquet",
        products="results/{study}/product/{arm}/products.parquet",
        clones="results/{study}/product/{arm}/clones.parquet",
        marrow="results/{study}/engraftment/{arm}/marrow.parquet",
        clone_sizes="results/{study}/engraftment/{arm}/clone_sizes.parquet",
        counts="results/{study}/blood/{arm}/counts.parquet",
        events="results/{study}/plan/{arm}/events.parquet",
    output:
        **{name: temp(path) for name, path in IN_BATCHES.items()},
    log:
        "results/{study}/logs/immunity/{arm}/{batch}.log",
    benchmark:
        "results/{study}/benchmarks/immunity/{arm}/{batch}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=minutes_of_a_job,
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
        **{name: batches_of(path) for name, path in IN_BATCHES.items()},
    output:
        **{
            name: f"results/{{study}}/immunity/{{arm}}/{name}.parquet"
            for name in IMMUNITY
        },
    log:
        "results/{study}/logs/immunity/{arm}/gather.log",
    benchmark:
        "results/{study}/benchmarks/immunity/{arm}/gather.tsv"
    message:
        "Immunity of arm {wildcards.arm}: gathering the batches"


rule score_ranges:
    input:
        patients=rules.assess.input.patients,
        products=rules.assess.input.products,
        clones=rules.assess.input.clones,
        marrow=rules.assess.input.marrow,
        clone_sizes=rules.assess.input.clone_sizes,
        counts=rules.assess.input.counts,
        events=rules.assess.input.events,
        scores="results/{study}/immunity/{arm}/scores.parquet",
    output:
        "results/{study}/immunity/{arm}/score_ranges.parquet",
    log:
        "results/{study}/logs/immunity/{arm}/score_ranges.log",
    benchmark:
        "results/{study}/benchmarks/immunity/{arm}/score_ranges.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings=settings_of("immunity"),
        ranges=lambda wildcards: STUDY.ranges("immunity", wildcards.arm),
        code=code_hash("immunity.ranges"),
    message:
        "Immunity of arm {wildcards.arm}: scores over the catalogue's ranges"
    script:
        "../scripts/score_ranges.py"
