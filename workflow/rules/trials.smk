# Trials: how many patients, which dose and when to stop, asked of the simulated outcomes.

TRIAL_TABLES = [
    "power",
    "sample_size",
    "dose",
    "stopping",
    "control",
    "incidence",
    "search",
    "chosen",
    "search_skill",
    "search_calibration",
]


rule run_trials:
    input:
        study="results/{study}/study.yaml",
        outcomes="results/{study}/outcomes.parquet",
        sweep=points_if_any("sweep", "points", "outcomes"),
        uncertainty=points_if_any("uncertainty", "outcomes"),
    output:
        **{
            name: report(
                f"results/{{study}}/trials/{name}.csv",
                caption="../report/trials.rst",
                category="How many patients",
                labels={"table": name.replace("_", " ")},
            )
            for name in TRIAL_TABLES
        },
    log:
        "results/{study}/logs/trials/trials.log",
    benchmark:
        "results/{study}/benchmarks/trials/trials.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        code=code_hash("trials"),
    message:
        "Trials: power, sizes, doses and stopping rules"
    script:
        "../scripts/run_trials.py"


rule verify_design:
    input:
        study="results/{study}/study.yaml",
        chosen="results/{study}/trials/chosen.csv",
        sweep=points_if_any("sweep", "outcomes"),
        asked=(
            expand(
                "results/{study}/sweep/{arm}/asked.json",
                arm=STUDY.ensembles["sweep"].arms,
                allow_missing=True,
            )
            if "sweep" in STUDY.ensembles
            else []
        ),
    output:
        "results/{study}/trials/verified.csv",
    log:
        "results/{study}/logs/trials/verified.log",
    benchmark:
        "results/{study}/benchmarks/trials/verified.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        arms=STUDY.ensembles["sweep"].arms if "sweep" in STUDY.ensembles else [],
        patients=STUDY.file.patients,
        code=code_hash("trials.verify", "points"),
    message:
        "Trials: the chosen design simulated with fresh patients"
    script:
        "../scripts/verify_design.py"
