# Plan: the study with every default filled in, the virtual patients of each arm and what befalls them.


wildcard_constraints:
    arm="|".join(STUDY.arms),


rule fill_study:
    output:
        "results/{study}/study.yaml",
    log:
        "results/{study}/logs/plan/study.log",
    benchmark:
        "results/{study}/benchmarks/plan/study.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 5 * attempt,
    params:
        study=STUDY.as_dict(),
    message:
        "Writing study.yaml with every default, its evidence and its source"
    script:
        "../scripts/fill_study.py"


rule plan_patients:
    output:
        patients="results/{study}/plan/{arm}/patients.parquet",
        events="results/{study}/plan/{arm}/events.parquet",
    log:
        "results/{study}/logs/plan/{arm}.log",
    benchmark:
        "results/{study}/benchmarks/plan/{arm}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        patients=STUDY.file.patients,
        settings=settings_of("plan"),
        code=code_hash("plan"),
    message:
        "Plan: {params.patients} virtual patients of arm {wildcards.arm}"
    script:
        "../scripts/plan_patients.py"
