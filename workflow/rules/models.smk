# Models: what drives the outcomes, how early that is known, and whose uncertainty an interval holds.


rule fit_surrogates:
    input:
        outcomes="results/{study}/outcomes.parquet",
        sweep=(
            [
                "results/{study}/sweep/outcomes.parquet",
                "results/{study}/sweep/points.parquet",
            ]
            if STUDY.file.sweep
            else []
        ),
    output:
        performance="results/{study}/models/performance.csv",
        repeats="results/{study}/models/repeats.csv",
        test_set="results/{study}/models/test_set.csv",
        importance="results/{study}/models/importance.csv",
        predictions="results/{study}/models/predictions.csv",
        calibration="results/{study}/models/calibration.csv",
        intervals="results/{study}/models/intervals.csv",
        skipped="results/{study}/models/skipped.csv",
        models="results/{study}/models/surrogates.skops",
        card="results/{study}/models/card.json",
    log:
        "results/{study}/logs/models/surrogates.log",
    benchmark:
        "results/{study}/benchmarks/models/surrogates.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        seed=STUDY.file.seed,
        months=STUDY.file.visits_months,
        swept=STUDY.swept_values(),
        code=code_hash("models", "models.kept", "points"),
    message:
        "Models: surrogates of the outcomes, with their baselines"
    script:
        "../scripts/fit_surrogates.py"


# A sweep holds more designs than the arms do, so where there is one, it is learnt from in their place.
rule fit_early:
    input:
        outcomes=(
            "results/{study}/sweep/outcomes.parquet"
            if STUDY.file.sweep
            else "results/{study}/outcomes.parquet"
        ),
        visits=(
            "results/{study}/sweep/visits.parquet"
            if STUDY.file.sweep
            else "results/{study}/visits.parquet"
        ),
    output:
        early_skill="results/{study}/models/early_skill.csv",
        early_calibration="results/{study}/models/early_calibration.csv",
        early_decision="results/{study}/models/early_decision.csv",
        early_enough="results/{study}/models/early_enough.csv",
        early_learning="results/{study}/models/early_learning.csv",
        early_importance="results/{study}/models/early_importance.csv",
        early_dependence="results/{study}/models/early_dependence.csv",
        early_skipped="results/{study}/models/early_skipped.csv",
    log:
        "results/{study}/logs/models/early.log",
    benchmark:
        "results/{study}/benchmarks/models/early.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        swept=STUDY.file.sweep is not None,
        seed=STUDY.file.seed,
        code=code_hash("models.early", "points"),
    message:
        "Models: what the first year says of late visits"
    script:
        "../scripts/fit_early.py"


# What the catalogue's uncertain values do to the outcomes, and which to measure better.
rule sensitivity:
    input:
        study="results/{study}/study.yaml",
        uncertainty=points_if_any("uncertainty", "points", "outcomes"),
        sweep=points_if_any("sweep", "points", "outcomes"),
    output:
        sensitivity="results/{study}/models/sensitivity.csv",
        sensitivity_surrogates="results/{study}/models/sensitivity_surrogates.csv",
        worth_measuring="results/{study}/models/worth_measuring.csv",
    log:
        "results/{study}/logs/models/sensitivity.log",
    benchmark:
        "results/{study}/benchmarks/models/sensitivity.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        seed=STUDY.file.seed,
        code=code_hash("models.sensitivity", "points"),
    message:
        "Models: sensitivity of the outcomes to uncertain values"
    script:
        "../scripts/sensitivity.py"


rule uncertainty:
    input:
        study="results/{study}/study.yaml",
        outcomes="results/{study}/outcomes.parquet",
        uncertainty=points_if_any("uncertainty", "outcomes", "failed"),
    output:
        "results/{study}/models/uncertainty.csv",
    log:
        "results/{study}/logs/models/uncertainty.log",
    benchmark:
        "results/{study}/benchmarks/models/uncertainty.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_hash("models.uncertainty", "points"),
    message:
        "Models: whose uncertainty"
    script:
        "../scripts/uncertainty.py"
