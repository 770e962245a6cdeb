# Calibration: patients' tables -> statistics -> rounds of simulations in batches -> posterior, its checks,
# and a study that goes on from it.
from hsc_pipeline.calibration.early import check_calibration

# A mistake in a table is told before any job, and not again by the processes of the jobs.
if workflow.is_main_process:
    try:
        check_calibration(STUDY)
    except UserError as error:
        sys.exit(f"{error}")

HERE = "results/{study}/calibration"
ROUND = f"{HERE}/{{structure}}/round_{{round}}"
FIT_KEYS = ["structures", "fitted", "simulations", "rounds", "statistics"]


wildcard_constraints:
    structure="|".join(STUDY.structures),
    round=r"\d+",


def pilot_of(wildcards):
    """What all batches but the first wait for."""
    of = wildcards.structure, int(wildcards.round), wildcards.batch
    return [] if STUDY.is_pilot(*of) else f"{HERE}/pilot.json"


def box_before(wildcards):
    """Where a round draws: nowhere in particular in the first."""
    before = int(wildcards.round) - 1
    return f"{HERE}/{{structure}}/round_{before}/box.json" if before else []


def rounds_of(structure, name, last):
    """One file of each round of a structure, up to the last."""
    return [
        f"{HERE}/{structure}/round_{number}/{name}" for number in range(1, last + 1)
    ]


def all_rounds(name):
    """One file of each round of the fitted structure."""
    return rounds_of(STUDY.fitted, name, STUDY.rounds_of(STUDY.fitted))


def first_rounds(name):
    """One file of each structure's first round, in order."""
    return [f"{HERE}/{structure}/round_1/{name}" for structure in STUDY.structures]


rule observe_patients:
    input:
        STUDY.files(),
    output:
        observed=f"{HERE}/observed.csv",
        designs=f"{HERE}/designs.json",
    log:
        "results/{study}/logs/calibration/observe.log",
    benchmark:
        "results/{study}/benchmarks/calibration/observe.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings=STUDY.part("structures", "fitted", "statistics"),
        code=code_hash("calibration.run", "formats"),
    message:
        "Calibration: reading the patients' tables"
    script:
        "../scripts/calibrate_observe.py"


rule draw_parameters:
    input:
        box_before,
    output:
        f"{ROUND}/theta.parquet",
    log:
        "results/{study}/logs/calibration/{structure}/draw_{round}.log",
    benchmark:
        "results/{study}/benchmarks/calibration/{structure}/draw_{round}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        settings=lambda wildcards: STUDY.part(structure=wildcards.structure),
        simulations=lambda wildcards: STUDY.simulations(wildcards.structure),
        code=code_hash("calibration.draws"),
    message:
        "Calibration: drawing parameters, {wildcards.structure}, round {wildcards.round}"
    script:
        "../scripts/calibrate_draw.py"


rule simulate_parameters:
    input:
        pilot_of,
        theta=f"{ROUND}/theta.parquet",
        designs=rules.observe_patients.output.designs,
    output:
        temp("results/{study}/.batches/calibration/{structure}/{round}/{batch}.parquet"),
    log:
        "results/{study}/logs/calibration/{structure}/{round}/{batch}.log",
    benchmark:
        "results/{study}/benchmarks/calibration/{structure}/{round}/{batch}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=minutes_of_a_job,
    params:
        settings=lambda wildcards: STUDY.part(structure=wildcards.structure),
        rows=patients_in,
        code=code_hash("calibration.simulate"),
    message:
        "Calibration: {wildcards.structure}, round {wildcards.round}, simulations {wildcards.batch}"
    script:
        "../scripts/calibrate_simulate.py"


rule look_at_pilot:
    input:
        part=f"results/{{study}}/.batches/calibration/{STUDY.fitted}/1/{STUDY.batches(STUDY.fitted, 1)[0]}.parquet",
        observed=rules.observe_patients.output.observed,
    output:
        f"{HERE}/pilot.json",
    log:
        "results/{study}/logs/calibration/pilot.log",
    benchmark:
        "results/{study}/benchmarks/calibration/pilot.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=code_hash("calibration.run"),
    message:
        "Calibration: looking at the first simulations"
    script:
        "../scripts/calibrate_pilot.py"


rule gather_simulations:
    input:
        lambda wildcards: expand(
            rules.simulate_parameters.output,
            batch=STUDY.batches(wildcards.structure, int(wildcards.round)),
            allow_missing=True,
        ),
    output:
        f"{ROUND}/statistics.parquet",
    log:
        "results/{study}/logs/calibration/{structure}/gather_{round}.log",
    benchmark:
        "results/{study}/benchmarks/calibration/{structure}/gather_{round}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=code_hash("calibration.run"),
    message:
        "Calibration: gathering {wildcards.structure}, round {wildcards.round}"
    script:
        "../scripts/calibrate_gather.py"


rule look_at_round:
    input:
        theta=f"{HERE}/{STUDY.fitted}/round_1/theta.parquet",
        statistics=f"{HERE}/{STUDY.fitted}/round_1/statistics.parquet",
        observed=rules.observe_patients.output.observed,
        pilot=rules.look_at_pilot.output,
    output:
        inside=f"{HERE}/inside.json",
        farthest=f"{HERE}/farthest.csv",
    log:
        "results/{study}/logs/calibration/inside.log",
    benchmark:
        "results/{study}/benchmarks/calibration/inside.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        outside=STUDY.file.outside,
        code=code_hash("calibration.fits"),
    message:
        "Calibration: are the data among the simulations of the prior?"
    script:
        "../scripts/calibrate_look.py"


rule narrow_prior:
    input:
        theta=lambda wildcards: rounds_of(
            STUDY.fitted, "theta.parquet", int(wildcards.round)
        ),
        statistics=lambda wildcards: rounds_of(
            STUDY.fitted, "statistics.parquet", int(wildcards.round)
        ),
        boxes=lambda wildcards: rounds_of(
            STUDY.fitted, "box.json", int(wildcards.round) - 1
        ),
        observed=rules.observe_patients.output.observed,
        pilot=rules.look_at_pilot.output,
        inside=rules.look_at_round.output.inside,
    output:
        f"{ROUND}/box.json",
    log:
        "results/{study}/logs/calibration/{structure}/box_{round}.log",
    benchmark:
        "results/{study}/benchmarks/calibration/{structure}/box_{round}.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings=STUDY.part(structure=STUDY.fitted),
        code=code_hash("calibration.fits"),
    message:
        "Calibration: where round {wildcards.round} left mass"
    script:
        "../scripts/calibrate_narrow.py"


rule fit_posterior:
    input:
        theta=all_rounds("theta.parquet"),
        statistics=all_rounds("statistics.parquet"),
        boxes=rounds_of(STUDY.fitted, "box.json", STUDY.file.rounds - 1),
        observed=rules.observe_patients.output.observed,
        pilot=rules.look_at_pilot.output,
        inside=rules.look_at_round.output.inside,
    output:
        joint=f"{HERE}/joint.parquet",
        summary=f"{HERE}/summary.csv",
        identifiability=f"{HERE}/identifiability.csv",
        profile=f"{HERE}/profile.csv",
        correlations=f"{HERE}/correlations.csv",
        fit=f"{HERE}/fit.json",
        posterior=f"{HERE}/posterior.csv",
        study=f"{HERE}/study.yaml",
        patients=[
            f"{HERE}/patient_{number}.{kind}"
            for number in range(1, STUDY.patients + 1)
            for kind in ("csv", "yaml")
            if STUDY.patients > 1
        ],
    log:
        "results/{study}/logs/calibration/fit.log",
    benchmark:
        "results/{study}/benchmarks/calibration/fit.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        settings=STUDY.part(*FIT_KEYS),
        code=code_hash("calibration.fits", "calibration.posterior_study"),
    message:
        "Calibration: the posterior"
    script:
        "../scripts/calibrate_fit.py"


rule check_fit:
    input:
        **{name: rules.fit_posterior.input[name] for name in ("theta", "statistics")},
        boxes=rules.fit_posterior.input.boxes,
        observed=rules.observe_patients.output.observed,
        pilot=rules.look_at_pilot.output,
        inside=rules.look_at_round.output.inside,
    output:
        sbc=f"{HERE}/sbc.csv",
        uniformity=f"{HERE}/uniformity.csv",
        coverage=f"{HERE}/coverage.csv",
    log:
        "results/{study}/logs/calibration/check.log",
    benchmark:
        "results/{study}/benchmarks/calibration/check.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        settings=STUDY.part(*FIT_KEYS),
        code=code_hash("calibration.fits"),
    message:
        "Calibration: does the fit know what it does not know?"
    script:
        "../scripts/calibrate_check.py"


rule choose_structure:
    input:
        statistics=first_rounds("statistics.parquet"),
        theta=first_rounds("theta.parquet"),
        observed=rules.observe_patients.output.observed,
        pilot=rules.look_at_pilot.output,
        inside=rules.look_at_round.output.inside,
    output:
        structures=f"{HERE}/structures.csv",
        confusion=f"{HERE}/confusion.csv",
    log:
        "results/{study}/logs/calibration/structures.log",
    benchmark:
        "results/{study}/benchmarks/calibration/structures.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        structures=list(STUDY.structures),
        simulations=STUDY.file.structure_simulations,
        seed=STUDY.file.seed,
        code=code_hash("calibration.fits"),
    message:
        "Calibration: which structure?"
    script:
        "../scripts/calibrate_structures.py"


rule predict_posterior:
    input:
        joint=rules.fit_posterior.output.joint,
        designs=rules.observe_patients.output.designs,
        observed=rules.observe_patients.output.observed,
    output:
        replicated=f"{HERE}/replicated.parquet",
        predictive=f"{HERE}/predictive.csv",
    log:
        "results/{study}/logs/calibration/predict.log",
    benchmark:
        "results/{study}/benchmarks/calibration/predict.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        settings=STUDY.part(structure=STUDY.fitted),
        predictions=STUDY.file.predictions,
        code=code_hash("calibration.fits"),
    message:
        "Calibration: what the posterior predicts of statistics that were not fitted"
    script:
        "../scripts/calibrate_predict.py"


rule calibration_report:
    input:
        rules.observe_patients.output,
        rules.look_at_pilot.output,
        rules.look_at_round.output,
        rules.fit_posterior.output,
        rules.check_fit.output,
        rules.choose_structure.output,
        rules.predict_posterior.output,
    output:
        report=report(
            "results/{study}/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"study": "{study}", "what": "the page to read"},
        ),
        verdict=f"{HERE}/verdict.txt",
    log:
        "results/{study}/logs/report.log",
    benchmark:
        "results/{study}/benchmarks/report.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings=STUDY.as_dict(),
        folder=lambda wildcards: HERE.format(study=wildcards.study),
        code=code_hash("calibration.report"),
    message:
        "Calibration: report"
    script:
        "../scripts/calibrate_report.py"


rule calibration_manifest:
    input:
        rules.calibration_report.input,
        rules.calibration_report.output,
        [
            of_rounds(name)
            for name in ("theta.parquet", "statistics.parquet")
            for of_rounds in (all_rounds, first_rounds)
        ],
        rules.fit_posterior.input.boxes,
        snakefile=workflow.source_path("../Snakefile"),
    output:
        manifest=report(
            "results/{study}/manifest.json",
            caption="../report/manifest.rst",
            category="Provenance",
            labels={"what": "checksums, versions, seed"},
        ),
        given="results/{study}/given.yaml",
        workflow="results/{study}/workflow/Snakefile",
        crate="results/{study}/ro-crate-metadata.json",
    log:
        "results/{study}/logs/manifest.log",
    benchmark:
        "results/{study}/benchmarks/manifest.tsv"
    conda:
        "../envs/hsc_pipeline.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        seed=STUDY.file.seed,
        given=given_file(),
        code=code_hash("manifest", "crate"),
    message:
        "Manifest: checksums of every file, and the crate"
    script:
        "../scripts/manifest.py"


rule calibration:
    input:
        f"results/{STUDY.name}/manifest.json",
    localrule: True
