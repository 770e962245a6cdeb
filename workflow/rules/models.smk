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
        performance=report(
            "results/{study}/models/performance.csv",
            caption="../report/models.rst",
            category="Drivers",
            labels={"table": "performance"},
        ),
        repeats="results/{study}/models/repeats.csv",
        test_set=report(
            "results/{study}/models/test_set.csv",
            caption="../report/models.rst",
            category="Drivers",
            labels={"table": "test set"},
        ),
        importance=report(
            "results/{study}/models/importance.csv",
            caption="../report/models.rst",
            category="Drivers",
            labels={"table": "importance"},
        ),
        predictions="results/{study}/models/predictions.csv",
        calibration=report(
            "results/{study}/models/calibration.csv",
            caption="../report/models.rst",
            category="Drivers",
            labels={"table": "calibration"},
        ),
        intervals=report(
            "results/{study}/models/intervals.csv",
            caption="../report/models.rst",
            category="Drivers",
            labels={"table": "intervals"},
        ),
        skipped=report(
            "results/{study}/models/skipped.csv",
            caption="../report/models.rst",
            category="Drivers",
            labels={"table": "skipped"},
        ),
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
        early_skill=report(
            "results/{study}/models/early_skill.csv",
            caption="../report/models.rst",
            category="Early signs",
            labels={"table": "skill"},
        ),
        early_calibration=report(
            "results/{study}/models/early_calibration.csv",
            caption="../report/models.rst",
            category="Early signs",
            labels={"table": "calibration"},
        ),
        early_decision=report(
            "results/{study}/models/early_decision.csv",
            caption="../report/models.rst",
            category="Early signs",
            labels={"table": "decision"},
        ),
        early_enough=report(
            "results/{study}/models/early_enough.csv",
            caption="../report/models.rst",
            category="Early signs",
            labels={"table": "enough"},
        ),
        early_learning=report(
            "results/{study}/models/early_learning.csv",
            caption="../report/models.rst",
            category="Early signs",
            labels={"table": "learning"},
        ),
        early_importance=report(
            "results/{study}/models/early_importance.csv",
            caption="../report/models.rst",
            category="Early signs",
            labels={"table": "importance"},
        ),
        early_dependence=report(
            "results/{study}/models/early_dependence.csv",
            caption="../report/models.rst",
            category="Early signs",
            labels={"table": "dependence"},
        ),
        early_skipped=report(
            "results/{study}/models/early_skipped.csv",
            caption="../report/models.rst",
            category="Early signs",
            labels={"table": "skipped"},
        ),
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
        sensitivity=report(
            "results/{study}/models/sensitivity.csv",
            caption="../report/models.rst",
            category="Uncertainty",
            labels={"table": "sensitivity"},
        ),
        sensitivity_surrogates=report(
            "results/{study}/models/sensitivity_surrogates.csv",
            caption="../report/models.rst",
            category="Uncertainty",
            labels={"table": "sensitivity surrogates"},
        ),
        worth_measuring=report(
            "results/{study}/models/worth_measuring.csv",
            caption="../report/models.rst",
            category="Uncertainty",
            labels={"table": "worth measuring"},
        ),
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
        report(
            "results/{study}/models/uncertainty.csv",
            caption="../report/models.rst",
            category="Uncertainty",
            labels={"table": "uncertainty"},
        ),
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
