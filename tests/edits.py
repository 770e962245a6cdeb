"""Settings of an edited product, apart from what the catalogue's products happen to be."""

from hsc_pipeline.settings import Settings

EDIT = {
    "product.modification": "hdr",
    "edit.editable_fraction": 0.8,
    "edit.intended": 0.5,
    "edit.indel": 0.2,
    "edit.large_deletion": 0.05,
    "edit.bystander": 0.05,
    "edit.logit_sd": 0.0,
    "edit.lt_intended_ratio": 1.0,
    "edit.lt_loss_to_indel": 0.0,
    "edit.survival": 1.0,
    "edit.goal": "repair",
    "edit.correction": "one_allele",
    "edit.bystander_function": 0.0,
    "edit.off_target_per_cell": 0.0,
    "edit.translocation_per_cell": 0.0,
    "expression.full": 1.0,
}


def edited(like: Settings | None = None, **changes: float | str) -> Settings:
    """Return settings of an edit; ``survival=0.5`` changes ``edit.survival``.

    Parameters
    ----------
    like : Settings, optional
        Of an arm whose other values and tables to keep.
    """
    renamed = {f"edit.{name}": value for name, value in changes.items()}
    if like is None:
        return Settings(EDIT | renamed)
    return Settings({**like.values, **EDIT, **renamed}, like.tables, like.study)
