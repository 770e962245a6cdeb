# Models: what drives the outcomes, against baselines, by grouped validation.


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
