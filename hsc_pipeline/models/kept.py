"""Models kept by skops, which can run nothing when it loads.

A file of models is skops' zip of arrays and a schema.  It is read only as far as it is harmless: its
size first, then its types against a list, then the trees, whose links a C loop would follow anywhere.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hsc_pipeline.errors import UserError
from hsc_pipeline.limits import regular_size
from hsc_pipeline.models.card import FORMAT
from hsc_pipeline.models.surrogates import Learnt, bounds, foresee_of, intervals_of
from hsc_pipeline.models.targets import TARGETS

NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
FILE = "surrogates.skops"
# Of what the models are made; nothing else is read.
KNOWN = (
    "builtins.dict",
    "builtins.list",
    "builtins.slice",
    "builtins.str",
    "builtins.tuple",
    "numpy.float64",
    "numpy.int64",
    "numpy.ndarray",
    "numpy.random._generator.Generator",
    "numpy.uint64",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.dummy.DummyClassifier",
    "sklearn.dummy.DummyRegressor",
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.ensemble._forest.RandomForestRegressor",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
    "sklearn.linear_model._base.LinearRegression",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.linear_model._ridge.Ridge",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._label.LabelEncoder",
    "sklearn.preprocessing._polynomial.PolynomialFeatures",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._classes.DecisionTreeRegressor",
)
# Beyond what skops trusts itself: the trees of forests and of gradient boosting, which are checked.
TRUSTED = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
MOST_BYTES = 1 << 28  # unpacked; the default study takes a tenth
MOST_PARTS = 200_000  # files in the zip


def to_bytes(learnt: Learnt, about: Mapping[str, Any]) -> bytes:
    """Return models and card as skops writes them, with the same bytes in every process.

    skops names arrays by their place in memory and dates them by the clock; here they are counted
    through, and have no date.
    """
    from skops.io import dumps

    content = {"card": json.dumps(about), "targets": learnt.kept}
    return _normal(dumps(content))


def _normal(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        schema = json.loads(packed.read("schema.json"))
        ids: dict[int, int] = {}
        arrays: dict[str, str] = {}
        for node in _nodes(schema):
            if "__id__" in node:
                node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
            if node.get("type") == "numpy":
                node["file"] = arrays.setdefault(node["file"], f"{len(arrays)}.npy")
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as normal:
            for old, new in arrays.items():
                _store(normal, new, packed.read(old))
            _store(normal, "schema.json", json.dumps(schema).encode())
    return out.getvalue()


def _store(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, NO_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    packed.writestr(entry, content)


def load(path: str | Path) -> dict[str, Any]:
    """Return ``card`` and ``targets`` of a file of models, or of the folder that holds it.

    Raises
    ------
    UserError
        If it is missing, too large, no file of this program's models, or holds any type that is not
        trusted or a tree that leads nowhere.
    """
    from skops.io import loads

    path = Path(path)
    path = path / FILE if path.is_dir() else path
    data = _harmless_size(path)
    try:
        check_types(data)
        content = loads(data, trusted=list(TRUSTED))
        about = json.loads(content["card"])
        if about["format"] != FORMAT or not set(content["targets"]) <= set(TARGETS):
            raise UserError("these are models of another version of hsc_pipeline")
        one = np.ones((1, len(about["features"])))
        for target, entry in content["targets"].items():
            check_trees([entry["model"], entry["folds"]], one.shape[1] + (entry["kind"] == "time_to_event"))
            bounds(target, *intervals_of(entry, one), entry["months"])
            foresee_of(entry, one)
    except Exception as error:  # a stranger's file can fail anywhere in the reader; all of it is a refusal
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a file of models that is safe to read: {said}") from None
    return {"card": about, "targets": content["targets"]}


def check_types(data: bytes) -> None:
    """Refuse a file that names any type but the ones of which the models kept here are made.

    Raises
    ------
    UserError
    """
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        schema = json.loads(packed.read("schema.json"))
    named = {f"{node['__module__']}.{node['__class__']}" for node in _nodes(schema) if node.get("__class__")}
    foreign = sorted(named - {*KNOWN, *TRUSTED})
    if foreign:
        raise UserError(f"it holds types that are not trusted: {', '.join(foreign[:5])}")


def _nodes(schema: Any) -> Iterator[dict]:
    """Yield every mapping of a schema, in order."""
    stack = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(reversed(node))
        elif isinstance(node, dict):
            yield node
            stack.extend(reversed(node.values()))


def _harmless_size(path: Path) -> bytes:
    """Return the content of a zip whose parts are not too many and unpack to no more than the limit."""
    try:
        if regular_size(path) > MOST_BYTES:
            raise UserError(f"{path}: larger than {MOST_BYTES:,} bytes, the limit of a file of models")
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = packed.infolist()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not a file of models: {error}") from None
    unpacked = sum(part.file_size for part in parts)
    if unpacked > MOST_BYTES or len(parts) > MOST_PARTS:
        raise UserError(
            f"{path}: unpacks to {unpacked:,} bytes in {len(parts):,} parts; "
            f"allowed {MOST_BYTES:,} in {MOST_PARTS:,}"
        )
    return data


def check_trees(models: Any, features: int) -> None:
    """Refuse trees anywhere in models whose links lead back, or out of the tree or the features.

    Raises
    ------
    UserError
    """
    for left, right, feature, leaf in _trees(models):
        place, inner = np.arange(len(leaf)), ~leaf
        for child in (left[inner], right[inner]):
            if ((child <= place[inner]) | (child >= len(leaf))).any():
                raise UserError("a tree leads out of itself")
        if ((feature[inner] < 0) | (feature[inner] >= features)).any():
            raise UserError("a tree reads a feature that is not there")


def _trees(models: Any) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield children, feature and whether it is a leaf of the nodes of every tree."""
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree

    stack, met = [models], set()
    while stack:
        held = stack.pop()
        if id(held) in met:
            continue
        met.add(id(held))
        if isinstance(held, Tree):
            yield held.children_left, held.children_right, held.feature, held.children_left == -1
        elif isinstance(held, TreePredictor):
            nodes = {
                name: held.nodes[name].astype(np.int64) for name in held.nodes.dtype.names if name != "value"
            }
            if nodes["is_categorical"].any():
                raise UserError("a tree asks for categories")
            yield nodes["left"], nodes["right"], nodes["feature_idx"], nodes["is_leaf"] == 1
        elif isinstance(held, np.ndarray):
            stack.extend(held.ravel().tolist() if held.dtype == object else [])
        elif isinstance(held, list | tuple | set):
            stack.extend(held)
        else:
            stack.extend((held if isinstance(held, dict) else getattr(held, "__dict__", {})).values())
