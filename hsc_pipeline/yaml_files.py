"""YAML from strangers: read by a safe loader, within limits, and refused in one sentence.

The limits are checked on the stream of events, before anything is built: a few hundred bytes of aliases
can stand for a billion nodes.
"""

import stat
from pathlib import Path

from hsc_pipeline.errors import UserError

MOST_BYTES = 1 << 21  # two thousand arms take a quarter of it
MOST_NODES = 100_000  # with every alias written out
MOST_DEPTH = 30


def read_yaml(path: str | Path) -> dict:
    """Read a YAML mapping without executing anything, refusing repeated keys and bombs.

    Raises
    ------
    UserError
        If the file is missing, larger or deeper than the limits, no YAML mapping, repeats a key, or asks
        for code to be run.
    """
    import yaml

    text = _text(path)
    try:
        check_limits(text, path)
        content = yaml.load(text, _loader(path))  # a SafeLoader
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark else ""
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise UserError(f"{path}{at}: this is not YAML: {said[:200]}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a study file is a mapping of keys to values, such as 'kind: study'")
    for key in content:
        if not isinstance(key, str):
            raise UserError(f"{path}: the key {str(key)[:40]!r} is not text")
        if key.startswith("__"):
            raise UserError(f"{path}: {key[:40]!r} would have code in the file run; that is refused")
    return content


def _text(path: str | Path) -> str:
    path = Path(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path}: this is not a file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UserError(f"{path}: larger than {MOST_BYTES:,} bytes, the limit of a study file")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: this is not YAML: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def check_limits(text: str, where: object) -> None:
    """Refuse YAML that is deeper than `MOST_DEPTH` or, aliases written out, larger than `MOST_NODES`.

    Raises
    ------
    UserError
        Naming the line.
    yaml.YAMLError
        If it is not YAML.
    """
    import yaml

    count = _Count()
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        problem = count.problem(event)
        if problem:
            raise UserError(f"{where}, line {event.start_mark.line + 1}: {problem}")


class _Count:
    """Nodes and depth of a stream of YAML events, aliases written out."""

    def __init__(self):
        self.nodes = 0
        self.sizes: dict[str, int] = {}  # nodes under each anchor
        self.open: list[tuple[str | None, int]] = []  # anchor of each open collection, and nodes before it

    def problem(self, event) -> str:
        """Take an event in, and return which limit it breaks, if it does."""
        import yaml

        if isinstance(event, yaml.AliasEvent):
            # An anchor that is still open has no size: what holds itself never ends.
            if event.anchor not in self.sizes:
                return f"*{event.anchor[:40]} stands for nothing before it"
            self.nodes += self.sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            self._node(event, isinstance(event, yaml.CollectionStartEvent))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self.open.pop()
            self.sizes |= {anchor: self.nodes - before} if anchor else {}
        if len(self.open) > MOST_DEPTH:
            return f"nested deeper than {MOST_DEPTH}, the limit"
        return f"more than {MOST_NODES:,} values, aliases written out" if self.nodes > MOST_NODES else ""

    def _node(self, event, collection: bool) -> None:
        self.nodes += 1
        if collection:
            self.open.append((event.anchor, self.nodes - 1))
            self.sizes.pop(event.anchor, None)
        elif event.anchor:
            self.sizes[event.anchor] = 1


def _loader(path: str | Path) -> type:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            seen: set[str] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise UserError(
                        f"{path}, line {line}: {key.value!r} stands twice; each key may stand once"
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Loader
