"""Texts spoilt by chance: what a mistake, a broken disk or malice makes of a file."""

import random

NASTY = (
    *(
        "nan",
        "inf",
        "-1",
        "0",
        "1e400",
        "-1e-400",
        "1_0",
        "9" * 30,
        "0x1F",
        "1:30",
        "2020-99-99",
        "~",
        "null",
    ),
    *(
        "[]",
        "{}",
        "[[]]",
        "{a: b}",
        "&a [*a]",
        "*a",
        "<<",
        "!!python/name:os.system",
        "? [a]",
        "|",
        ">",
        "%",
        "@",
    ),
    *(
        "../../x",
        "/",
        "/dev/zero",
        ".",
        "NUL",
        "'",
        '"',
        '"a\nb"',
        "\t",
        "\r",
        "\0",
        "\u2028",
        "\ufeff",
        "é",
        "🧬",
    ),
    *(
        "<script>alert(1)</script>",
        "{{ 7 * 7 }}",
        "=1+1",
        "__use_yte__: true",
        "a" * 2000,
        ",,,",
        ";",
        " ",
        "",
    ),
)


def mutated(text: str, chance: random.Random) -> bytes:
    """Return a text with one to four changes: of a line, of a word, of a few characters, of bytes."""
    for _ in range(chance.randint(1, 4)):
        text = chance.choice((_line, _word, _word, _letters, _cut))(text, chance)
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if data and chance.random() < 0.1:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def _line(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    change = chance.randrange(4)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(chance.randrange(len(lines)), lines[at])
    elif change == 2:
        lines[at] = " " * chance.randint(1, 5) + lines[at]
    else:
        lines.insert(at, chance.choice(NASTY))
    return "\n".join(lines)


def _word(text: str, chance: random.Random) -> str:
    """Put something nasty in the place of a cell, a key or a value."""
    starts = [i for i, letter in enumerate(text) if letter in " ,\t\n:[{"] or [0]
    start = chance.choice(starts)
    end = start + 1
    while end < len(text) and text[end] not in " ,\t\n:]}":
        end += 1
    return text[: start + 1] + chance.choice(NASTY) + text[end:]


def _letters(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    new = "".join(chr(chance.choice((chance.randrange(1, 128), chance.randrange(0xD7FF)))) for _ in range(2))
    return text[:at] + new + text[at + chance.randint(0, 3) :]


def _cut(text: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) + 1)] if chance.random() < 0.2 else text
