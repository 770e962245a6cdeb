"""Models that are kept: the same bytes, the same predictions, and nothing hostile is read."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cohorts import CLASSIFICATION, MONTHS, REGRESSION, TIME, cohort, driver, shrink, with_outcomes
from skops.io import dumps

from hsc_pipeline.__main__ import main
from hsc_pipeline.errors import UserError
from hsc_pipeline.models import kept, predict, surrogates
from hsc_pipeline.models.card import card
from hsc_pipeline.models.features import design_matrix, sources
from hsc_pipeline.models.kept import check_trees, load, to_bytes
from hsc_pipeline.models.surrogates import bounds, foresee_of, intervals_of, learn
from hsc_pipeline.models.targets import TARGETS

OF_EACH_KIND = (REGRESSION, CLASSIFICATION, TIME)
BUILD = """
import sys
sys.path.insert(0, {tests!r})
from cohorts import *
from hsc_pipeline.models import surrogates, estimators
from hsc_pipeline.models.card import card
from hsc_pipeline.models.kept import to_bytes
surrogates.TARGETS = {{name: surrogates.TARGETS[name] for name in (REGRESSION, CLASSIFICATION)}}
surrogates.PERMUTATIONS, estimators.TREES, estimators.STEPS, estimators.INNER_FOLDS = 1, 3, 5, 2
compare = surrogates.compare_to_baseline
surrogates.compare_to_baseline = lambda *tables: compare(*tables).assign(kept="surrogate")
rows = with_outcomes(cohort(30), driver(cohort(30)))
learnt = surrogates.learn(rows, 1, MONTHS)
sys.stdout.buffer.write(to_bytes(learnt, card(learnt, rows, 1, {{}})))
"""


@pytest.fixture(scope="module")
def rows():
    made = cohort(60)
    return with_outcomes(made, driver(made), noise=0.3)


@pytest.fixture(scope="module", params=["best", "surrogate"])
def learnt(request, rows):
    """What is kept by merit, and surrogates kept whether they have any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surrogates, "TARGETS", {name: TARGETS[name] for name in OF_EACH_KIND})
        shrink(patch)
        if request.param == "surrogate":
            compare = surrogates.compare_to_baseline
            patch.setattr(
                surrogates, "compare_to_baseline", lambda *tables: compare(*tables).assign(kept="surrogate")
            )
        return learn(rows, 1, MONTHS)


@pytest.fixture
def file(tmp_path, rows, learnt):
    path = tmp_path / kept.FILE
    path.write_bytes(to_bytes(learnt, card(learnt, rows, 1, {})))
    return path


@pytest.fixture(scope="module")
def small(rows):
    """A file of one linear model, to be harmed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surrogates, "TARGETS", {REGRESSION: TARGETS[REGRESSION]})
        shrink(patch)
        found = learn(rows, 1, MONTHS)
    return found, card(found, rows, 1, {})


def table(rows):
    return rows[list(sources({}))]


# The round trip


def test_models_predict_after_the_round_trip_what_they_did_before(file, rows, learnt):
    rows = rows.iloc[::7]
    found = predict.predict(load(file.parent), table(rows))
    x = design_matrix(rows).to_numpy()
    for target in OF_EACH_KIND:
        here, entry = found[found["target"] == target], learnt.kept[target]
        assert here["row"].tolist() == list(range(1, len(rows) + 1))
        assert (here["prediction"].to_numpy() == foresee_of(entry, x)).all()
        low, high = bounds(target, *intervals_of(entry, x), entry["months"])
        assert (here["low"].to_numpy() == low).all()
        assert (here["high"].to_numpy() == high).all()
        assert (here["low"] <= here["high"]).all()


def test_intervals_hold_what_was_observed_in_most_rows(file, rows):
    found = predict.predict(load(file), table(rows))
    values = found[found["target"] == REGRESSION].reset_index(drop=True)
    assert values["outside"].ne("").mean() < 0.5
    assert ((values["low"] <= rows[REGRESSION]) & (rows[REGRESSION] <= values["high"])).mean() > 0.8
    chances = found[found["target"] == CLASSIFICATION]
    assert chances["low"].isin([0, 1]).all()
    assert chances["unit"].unique().tolist() == ["chance"]
    times = found[found["target"] == TIME]
    assert times["prediction"].between(0, 1).all()
    assert set(times["high"]) <= {*MONTHS, np.inf}


def test_the_bytes_are_the_same_in_every_process():
    """Two processes with other hash seeds: nothing hangs on places in memory, clocks or sets."""
    code = BUILD.format(tests=str(Path(__file__).parent))
    made = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1]
    assert len(made[0]) > 1000


def test_the_card_says_data_seed_versions_features_metrics_and_limits(rows, learnt):
    about = card(learnt, rows, 7, {})
    assert json.loads(json.dumps(about)) == about
    assert about["seed"] == 7
    assert about["data"] == {"rows": 120, "patients": 60, "arms": ["full", "half"], "points": 2}
    assert set(about["versions"]) == {"hsc_pipeline", "scikit-learn", "skops"}
    dose = about["features"]["cd34_per_kg"]
    assert (dose["unit"], dose["learnt_as"]) == ("cells/kg", "log10")
    assert (dose["least"], dose["most"]) == (rows["cd34_per_kg"].min(), rows["cd34_per_kg"].max())
    assert set(about["targets"]) == set(OF_EACH_KIND)
    assert set(about["targets"][REGRESSION]["test_set"]) == {"constant", "linear", "closed_form", "surrogate"}
    assert about["targets"][REGRESSION]["untouched_patients"] == 12
    assert len(about["limits"]) >= 3


# Tables that are refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns=["age_years", "weight_kg"]), "missing: age_years, weight_kg"),
        (lambda t: t.assign(vcn_neutrophil=1.0), "foreign: vcn_neutrophil"),
        (lambda t: t.assign(busulfan_auc=np.nan), "row 1: busulfan_auc is not a number"),
        (lambda t: t.assign(mean_copies=[1.0] * 119 + [np.inf]), "row 120: mean_copies is not a number"),
        (lambda t: t.assign(mean_copies="two"), "row 1: mean_copies is not a number"),
        (lambda t: t.assign(cd34_per_kg=0.0), "cd34_per_kg is not a number above 0"),
        (lambda t: t.iloc[:0], "0 rows; allowed 1 to"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_name(tmp_path, rows, small, change, said):
    path = tmp_path / kept.FILE
    path.write_bytes(to_bytes(*small))
    with pytest.raises(UserError, match=said):
        predict.predict(load(path), change(table(rows)))


def test_values_outside_the_training_range_are_marked(tmp_path, rows, small):
    path = tmp_path / kept.FILE
    path.write_bytes(to_bytes(*small))
    odd = table(rows).iloc[:2].assign(age_years=[5.0, 70.0], busulfan_auc=[40.0, 500.0])
    found = predict.predict(load(path), odd)
    assert found["outside"].tolist() == ["", "busulfan_auc; age_years"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_command_predicts(tmp_path, capsys, rows, small, ending):
    path, given, out = tmp_path / kept.FILE, tmp_path / f"table.{ending}", tmp_path / "out.csv"
    path.write_bytes(to_bytes(*small))
    some = table(rows).iloc[:3]
    some.to_csv(given, index=False) if ending == "csv" else some.to_parquet(given)
    assert main(["predict", str(tmp_path), str(given), "--out", str(out)]) == 0
    assert "3 predictions" in capsys.readouterr().out
    read = pd.read_csv(out, keep_default_na=False)
    assert list(read) == ["row", "target", "unit", "prediction", "low", "high", "outside"]
    assert read["prediction"].tolist() == pytest.approx(
        predict.predict(load(path), some)["prediction"].tolist()
    )


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'a,b\n1,2,3\n"'])
def test_a_table_that_is_none_is_refused(tmp_path, small, content, capsys):
    path, given = tmp_path / kept.FILE, tmp_path / "table.csv"
    path.write_bytes(to_bytes(*small))
    given.write_bytes(content)
    assert main(["predict", str(path), str(given), "--out", str(tmp_path / "out.csv")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(str(given))
    assert len(said.splitlines()) == 1
    assert main(["predict", str(path), str(tmp_path / "none.csv"), "--out", str(tmp_path / "out.csv")]) == 2


# Files that are refused


def zipped(parts, **more):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **more) as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    return out.getvalue()


def parts_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def with_foreign_type(small):
    """The loader of a function that would run a command."""
    found = parts_of(to_bytes(*small))
    schema = json.loads(found["schema.json"])
    schema["content"]["evil"] = {
        **{"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"},
        **{"content": "echo harm", "__id__": 999_999},
    }
    return zipped(found | {"schema.json": json.dumps(schema)})


def with_foreign_estimator(small):
    from sklearn.preprocessing import FunctionTransformer

    learnt, about = small
    entry = learnt.kept[REGRESSION] | {"model": FunctionTransformer()}
    return dumps({"card": json.dumps(about), "targets": {REGRESSION: entry}})


def with_unknown_target(small):
    return dumps({"card": json.dumps(small[1]), "targets": {"price": small[0].kept[REGRESSION]}})


def with_wrong_shape(small):
    learnt, about = small
    entry = learnt.kept[REGRESSION] | {"score": np.zeros(3)}
    return dumps({"card": json.dumps(about), "targets": {REGRESSION: entry}})


HOSTILE = {
    "no zip": (lambda small: b"PK nothing", "not a file of models"),
    "a zip of something else": (lambda small: zipped({"a.txt": "a"}), "not a file of models"),
    "no JSON": (lambda small: zipped({"schema.json": "{"}), "not a file of models"),
    "nested": (lambda small: zipped({"schema.json": '{"a":' * 100_000}), "not a file of models"),
    "a foreign type": (with_foreign_type, "types that are not trusted: os.system"),
    "a foreign estimator": (with_foreign_estimator, "types that are not trusted: .*FunctionTransformer"),
    "a foreign target": (with_unknown_target, "another version"),
    "arrays that do not fit": (with_wrong_shape, "not a file of models"),
    "another model": (lambda small: dumps({"a": 1}), "not a file of models"),
    "cut short": (lambda small: to_bytes(*small)[:-200], "not a file of models"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_broken_file_is_refused_in_one_sentence(tmp_path, small, name):
    make, said = HOSTILE[name]
    path = tmp_path / "odd.skops"
    path.write_bytes(make(small))
    with pytest.raises(UserError, match=said) as refused:
        load(path)
    assert len(str(refused.value).splitlines()) == 1
    assert str(refused.value).startswith(str(path))


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_does(tmp_path, monkeypatch):
    """A thousandth of its size on disk; nothing of it is unpacked."""
    monkeypatch.setattr(kept, "MOST_BYTES", 1_000_000)
    path = tmp_path / "bomb.skops"
    path.write_bytes(zipped({"schema.json": "{}", "0.npy": b"\0" * 2_000_000}))
    assert path.stat().st_size < 10_000
    with pytest.raises(UserError, match="unpacks to 2,000,002 bytes in 2 parts; allowed 1,000,000"):
        load(path)
    path.write_bytes(b"\0" * 1_000_001)
    with pytest.raises(UserError, match="larger than 1,000,000 bytes"):
        load(path)
    with pytest.raises(UserError, match="there is no such file"):
        load(tmp_path / "none.skops")


def test_trees_that_lead_nowhere_are_refused():
    """A link back would never end, and one outside reads foreign memory."""
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

    x = np.random.default_rng(0).standard_normal((60, 2))
    forest = RandomForestRegressor(2, random_state=0, max_depth=2).fit(x, x[:, 0])
    boosted = HistGradientBoostingRegressor(max_iter=2).fit(x, x[:, 0])
    for model in (forest, [boosted], {"deep": [forest, boosted]}):
        check_trees(model, 2)
    with pytest.raises(UserError, match="feature that is not there"):
        check_trees(forest, 0)
    boosted._predictors[1][0].nodes["left"][0] = 0
    with pytest.raises(UserError, match="leads out of itself"):
        check_trees({"deep": (boosted,)}, 2)
    boosted._predictors[1][0].nodes["left"][0] = 10_000
    with pytest.raises(UserError, match="leads out of itself"):
        check_trees(boosted, 2)
    boosted._predictors[1][0].nodes["is_categorical"][0] = 1
    with pytest.raises(UserError, match="categories"):
        check_trees(boosted, 2)
