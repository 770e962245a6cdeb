# Outcomes: one row per patient, and one per patient and visit.


rule summarise_arm:
    input:
        patients="results/{study}/plan/{arm}/patients.parquet",
        products="results/{study}/product/{arm}/products.parquet",
        grafts="results/{study}/engraftment/{arm}/grafts.parquet",
        marrow="results/{study}/engraftment/{arm}/marrow.parquet",
        transformations="results/{study}/engraftment/{arm}/transformations.parquet",
        counts="results/{study}/blood/{arm}/counts.parquet",
        readouts="results/{study}/blood/{arm}/readouts.parquet",
        recovery="results/{study}/blood/{arm}/recovery.parquet",
        integration_sites="results/{study}/blood/{arm}/integration_sites.parquet",
        reconstitution="results/{study}/immunity/{arm}/reconstitution.parquet",
        immune_markers="results/{study}/immunity/{arm}/immune_markers.parquet",
        milestones="results/{study}/immunity/{arm}/milestones.parquet",
        challenges="results/{study}/immunity/{arm}/challenges.parquet",
        vaccine_responses="results/{study}/immunity/{arm}/vaccine_responses.parquet",
        infection_risk="results/{study}/immunity/{arm}/infection_risk.parquet",
        infection_episodes="results/{study}/immunity/{arm}/infection_episodes.parquet",
        autoimmune_reset="results/{study}/immunity/{arm}/autoimmune_reset.parquet",
        scores="results/{study}/immunity/{arm}/scores.parquet",
    output:
        outcomes="results/{study}/outcomes/{arm}/outcomes.parquet",
        visits="results/{study}/outcomes/{arm}/visits.parquet",
    log:
        "results/{study}/logs/outcomes/{arm}.log",
    benchmark:
        "results/{study}/benchmarks/outcomes/{arm}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        patients=STUDY.file.patients,
        settings=settings_of("outcomes"),
        code=code_hash("outcomes"),
    message:
        "Outcomes of arm {wildcards.arm}"
    script:
        "../scripts/summarise_arm.py"


rule outcomes:
    input:
        outcomes=arms_of(rules.summarise_arm.output.outcomes),
        visits=arms_of(rules.summarise_arm.output.visits),
    output:
        outcomes="results/{study}/outcomes.parquet",
        visits="results/{study}/visits.parquet",
        csv=report(
            "results/{study}/outcomes.csv",
            caption="../report/outcomes.rst",
            category="Outcomes",
            labels={"table": "outcomes by patient and arm"},
        ),
    log:
        "results/{study}/logs/outcomes/outcomes.log",
    benchmark:
        "results/{study}/benchmarks/outcomes/outcomes.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_hash("tables"),
    message:
        "Outcomes of all arms"
    script:
        "../scripts/outcomes.py"
