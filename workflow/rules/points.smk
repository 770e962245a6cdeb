# Points: other values than an arm's, of a sweep or of the uncertain catalogue, from plan to outcomes.

POINT_TABLES = ["points", "outcomes", "visits", "failed"]
POINTS_IN_BATCHES = {
    name: f"results/{{study}}/.batches/{{ensemble}}/{{arm}}/{{batch}}/{name}.parquet"
    for name in POINT_TABLES
}


wildcard_constraints:
    ensemble="sweep|uncertainty",


# What is asked travels in a file: there may be a thousand jobs of points.
rule ask_points:
    output:
        "results/{study}/{ensemble}/{arm}/asked.json",
    log:
        "results/{study}/logs/{ensemble}/{arm}/asked.log",
    benchmark:
        "results/{study}/benchmarks/{ensemble}/{arm}/asked.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 5 * attempt,
    params:
        lay=lambda wildcards: STUDY.ensembles[wildcards.ensemble].lay[wildcards.arm],
        settings=lambda wildcards: {
            stage: STUDY.settings(stage, wildcards.arm) for stage in STAGES
        },
    message:
        "What the {wildcards.ensemble} asks of arm {wildcards.arm}"
    script:
        "../scripts/ask_points.py"


rule simulate_points:
    input:
        "results/{study}/{ensemble}/{arm}/asked.json",
    output:
        **{name: temp(path) for name, path in POINTS_IN_BATCHES.items()},
    log:
        "results/{study}/logs/{ensemble}/{arm}/{batch}.log",
    benchmark:
        "results/{study}/benchmarks/{ensemble}/{arm}/{batch}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=minutes_of_a_job,
    params:
        points=patients_in,
        patients=lambda wildcards: STUDY.ensembles[wildcards.ensemble].patients,
        same_patients=lambda wildcards: STUDY.ensembles[
            wildcards.ensemble
        ].same_patients,
        may_fail=lambda wildcards: STUDY.ensembles[wildcards.ensemble].may_fail,
        code=code_hash("points"),
    message:
        "Points {wildcards.batch} of the {wildcards.ensemble}, arm {wildcards.arm}"
    script:
        "../scripts/simulate_points.py"


use rule gather as gather_points with:
    input:
        **{name: point_batches_of(path) for name, path in POINTS_IN_BATCHES.items()},
    output:
        **{
            name: f"results/{{study}}/{{ensemble}}/{{arm}}/{name}.parquet"
            for name in POINT_TABLES
        },
    log:
        "results/{study}/logs/{ensemble}/{arm}/gather.log",
    benchmark:
        "results/{study}/benchmarks/{ensemble}/{arm}/gather.tsv"
    message:
        "Points of the {wildcards.ensemble}, arm {wildcards.arm}: gathering the batches"


use rule gather as join_points with:
    input:
        **{
            name: point_arms_of(path)
            for name, path in rules.gather_points.output.items()
        },
    output:
        **{
            name: f"results/{{study}}/{{ensemble}}/{name}.parquet"
            for name in POINT_TABLES
        },
    log:
        "results/{study}/logs/{ensemble}/join.log",
    benchmark:
        "results/{study}/benchmarks/{ensemble}/join.tsv"
    message:
        "Points of the {wildcards.ensemble}: all arms"
