"""What can go wrong, by who can mend it."""


class UserError(ValueError):
    """A mistake in what the user handed over: one sentence with where, what, and what is allowed."""


class ModelError(ArithmeticError):
    """A scientific impossibility: the model, not the user, is wrong."""


def suggest(word: str, known: list[str]) -> str:
    """Name the nearest known word, or all of them where nothing is near.

    Returns
    -------
    str
        ``"did you mean 'x'?"`` or ``"allowed: a, b, c"``, the list cut at twelve.
    """
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    names = sorted(known)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"allowed: {', '.join(names[:12])}{more}"
