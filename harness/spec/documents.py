"""A YAML document whose every value knows where it was written; `extends` and `--set` lay one document over another."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness.errors import SpecError, listed
from harness.spec.limits import DEEPEST, LARGEST, MOST_BYTES, MOST_CHARACTERS, MOST_FILES, MOST_VALUES

Keys = tuple[str | int, ...]

_LESS = "write a smaller spec, without aliases"


@dataclass(frozen=True, slots=True)
class Marked:
    """A value and its place. `value` is a dict of str to Marked, a list of Marked, or a plain scalar."""

    value: Any
    source: str
    line: int | None = None

    @property
    def place(self) -> str:
        """file:line, or the `--set` flag that gave the value."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


def plain(node: Marked) -> Any:
    """The value of `node` without its marks."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def at(node: Marked, keys: Keys) -> Marked:
    """The deepest value that exists on the way along `keys`."""
    for key in keys:
        inner = node.value
        in_list = isinstance(inner, list) and isinstance(key, int) and key < len(inner)
        if not in_list and not (isinstance(inner, dict) and key in inner):
            break
        node = inner[key]
    return node


def read(path: str | Path, overrides: Sequence[str] = ()) -> Marked:
    """The mapping in the file at `path`, laid over what it extends, with `a.b=c` overrides laid over it in order."""
    document = _file(Path(path), ())
    for text in overrides:
        document = _override(document, text)
    if (count := _count(document)) > MOST_VALUES:
        raise SpecError(
            f"{path}: holds {count:,} values with all that it extends, at most {MOST_VALUES:,} are allowed; {_LESS}"
        )
    return document


def from_plain(raw: dict[str, Any], source: str) -> Marked:
    """A document of plain data, each of whose values is said to stand in `source`."""
    return _parse(yaml.safe_dump(raw, sort_keys=False), source, numbered=False)


def scalar(text: str) -> Any:
    """`text` as YAML reads a plain scalar; `text` itself where it is none."""
    try:
        value = _parse(text, "", numbered=False).value
    except SpecError:
        return text
    return text if isinstance(value, dict | list) else value


def merge(base: Marked, over: Marked, keys: Keys = ()) -> Marked:
    """`over` laid upon `base`: mappings merge deep, lists and scalars replace."""
    if isinstance(base.value, dict) and over.value is None and len(keys) == 1:
        return base  # a section whose lines are all commented out changes nothing
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    if len(keys) == 4 and keys[0] == "factors" and keys[2] == "sets":
        return over  # what a level sets is one whole: half of an old level would be a trick nobody wrote
    return _merge_entries(base, over, keys)


def _merge_entries(base: Marked, over: Marked, keys: Keys) -> Marked:
    entries = dict(base.value)
    for key, child in over.value.items():
        if keys == ("factors",) and child.value is None and key in entries:
            del entries[key]
        else:
            entries[key] = merge(entries[key], child, (*keys, key)) if key in entries else child
    return replace(over, value=entries)


def _override(document: Marked, text: str) -> Marked:
    name, equals, value = text.partition("=")
    keys = tuple(name.strip().split("."))
    source = f"--set {_one_line(text)}"
    if not equals or not all(keys):
        raise SpecError(f"{source}: not an override: write key=value with a dotted key, like --set train.batch=64")
    if len(keys) > DEEPEST:
        raise SpecError(f"--set {text[:40]}...: {len(keys):,} keys deep, at most {DEEPEST} are allowed; name fewer")
    if keys[0] == "extends":
        raise SpecError(f"{source}: extends is read from files only: write it in a spec file of your own")
    return _put(document, keys, _parse(value, source, numbered=False), ())


def _put(node: Marked, keys: tuple[str, ...], value: Marked, path: Keys) -> Marked:
    """`node` with `value` laid at the dotted `keys`; mappings on the way are made where they are missing."""
    if not isinstance(node.value, dict):
        node = replace(value, value={})
    key, rest = keys[0], keys[1:]
    if not rest:
        return replace(
            _merge_entries(node, replace(value, value={key: value}), path), source=node.source, line=node.line
        )
    child = node.value.get(key, replace(value, value={}))
    return replace(node, value={**node.value, key: _put(child, rest, value, (*path, key))})


def _file(path: Path, chain: tuple[Path, ...], mention: Marked | None = None) -> Marked:
    """The document at `path`; `chain` are the files that extend it, `mention` the value that named it."""
    here = f"{mention.place}: extends: " if mention else ""
    try:
        content = _content(path, here)
    except FileNotFoundError:
        others = [file.name for file in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        hint = f"in {path.parent} there are {listed(path.name, others)}" if others else "give the path of a YAML file"
        raise SpecError(f"{here}{path}: there is no such file; {hint}") from None
    except SpecError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"{here}{path!s}: cannot be read: {reason}; give the path of a YAML file") from None
    document = _parse(content, str(path), numbered=True)
    if not isinstance(document.value, dict):
        raise SpecError(f"{document.place}: a spec must be a mapping with the keys study, recipe, data, ...")
    extends = document.value.pop("extends", None)
    if extends is None:
        return document
    if not isinstance(extends.value, str) or not extends.value:
        raise SpecError(f"{extends.place}: extends: must be the path of one YAML file, relative to this one")
    chain = (*chain, path.resolve())
    base = Path(os.path.normpath(path.parent / extends.value))
    if base.resolve() in chain:
        raise SpecError(f"{extends.place}: extends: '{extends.value}' leads back to itself: break the circle")
    if len(chain) == MOST_FILES:
        text = f"more than {MOST_FILES} files extend each other, which is too many"
        raise SpecError(f"{extends.place}: extends: {text}; write some of them in one")
    return merge(_file(base, chain, extends), document)


def _content(path: Path, here: str) -> bytes:
    """What is in a file of a size that a spec may have. Raises SpecError for anything else, before it is read."""
    kind = path.stat().st_mode
    if not stat.S_ISREG(kind):  # a pipe would be waited for
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe, a device or a socket"
        raise SpecError(f"{here}{path}: cannot be read: is {what}, no file; give the path of a YAML file")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
        size = os.fstat(file.fileno()).st_size
    if len(content) > MOST_BYTES:
        raise SpecError(f"{here}{path}: has {size:,} bytes, at most {MOST_BYTES:,} are allowed; write a smaller spec")
    return content


def _count(node: Marked) -> int:
    """The keys and values in a document."""
    if isinstance(node.value, dict):
        return 1 + sum(1 + _count(child) for child in node.value.values())
    return 1 + (sum(map(_count, node.value)) if isinstance(node.value, list) else 0)


class _Beyond(Exception):  # noqa: N818 - becomes a SpecError, which knows the place
    """More than a spec may hold."""

    def __init__(self, mark: yaml.Mark, text: str) -> None:
        super().__init__(text)
        self.mark = mark


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 5e-4 as a number, as YAML 1.2 does, and a date as text; and that stops at the limits."""

    def __init__(self, content: str | bytes) -> None:
        super().__init__(content)
        self.count = 0
        self._depth = 0
        self._merging: set[int] = set()

    def counted(self, mark: yaml.Mark, more: int = 1) -> None:
        """Count values. Raises _Beyond where there are too many."""
        self.count += more
        if self.count > MOST_VALUES:
            raise _Beyond(mark, f"here the spec has more than {MOST_VALUES:,} values; {_LESS}")

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.counted(mark)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Beyond(mark, f"is nested more than {DEEPEST} deep, which is too much; write it flatter")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and len(node.value) > MOST_CHARACTERS:
            size = f"has {len(node.value):,} characters, at most {MOST_CHARACTERS:,} are allowed"
            raise _Beyond(mark, f"the value {size}; put it into a file of its own")
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Resolve `<<`: each key once, so that merging what was merged does not multiply."""
        if not any(key.tag == _MERGE for key, _ in node.value):
            return
        if id(node) in self._merging:
            raise _Beyond(node.start_mark, "is merged into itself; write the values out")
        self._merging.add(id(node))
        own = {key.value: (key, value) for key, value in node.value if key.tag != _MERGE}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                merged |= self._merged(value)
        self._merging.remove(id(node))
        node.value = [*(pair for name, pair in merged.items() if name not in own), *own.values()]

    def _merged(self, value: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """What one `<<` brings in; of several mappings the first that has a key."""
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(each, yaml.MappingNode):
                raise _Beyond(each.start_mark, "`<<` takes a mapping, or a list of them; give the alias of one")
            self.flatten_mapping(each)
            self.counted(each.start_mark, len(each.value))
            for key, child in each.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise _Beyond(key.start_mark, "a key must be a plain name, not a list or mapping")
                found.setdefault(key.value, (key, child))
        return found


_MERGE = "tag:yaml.org,2002:merge"

_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0].rpartition(":")[2] not in ("timestamp", "float")]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"""^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |[0-9][0-9_]*[eE][-+]?[0-9]+
        |\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
        |\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$""",
        re.VERBOSE,
    ),
    list("-+0123456789."),
)


def _parse(content: str | bytes, source: str, *, numbered: bool) -> Marked:
    """The one document in `content`. Raises SpecError in one line for anything that is not plain data."""
    loader = None
    try:
        loader = _Loader(content)
        node = loader.get_single_node()
        return _Marker(loader, source, numbered).mark(node) if node else Marked(None, source, 1 if numbered else None)
    except _Beyond as error:
        spot = Marked(None, source, error.mark.line + 1 if numbered else None).place
        raise SpecError(f"{spot}: {error}") from None
    except yaml.MarkedYAMLError as error:
        what = ", ".join(part for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
        spot = Marked(None, source, mark.line + 1 if numbered and mark else None).place
        raise SpecError(f"{spot}: not readable as YAML: {_one_line(what)}; mend this line or the one before") from None
    except RecursionError:
        raise SpecError(f"{source}: nested too deep or contains itself; write the values out") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError(f"{source}: not readable as YAML: {_one_line(str(error))}; save it as UTF-8 text") from None
    finally:
        if loader is not None:
            loader.dispose()


@dataclass
class _Marker:
    """Turns composed YAML nodes into marked values."""

    loader: _Loader
    source: str
    numbered: bool
    count: int = 0
    depth: int = 0

    def empty(self, node: yaml.Node) -> Marked:
        return Marked(None, self.source, node.start_mark.line + 1 if self.numbered else None)

    def mark(self, node: yaml.Node) -> Marked:
        self.count += 1
        here = self.empty(node)
        if self.count > MOST_VALUES:
            raise SpecError(f"{here.place}: here the spec has more than {MOST_VALUES:,} values; {_LESS}")
        if self.depth == DEEPEST:
            raise SpecError(
                f"{here.place}: is nested more than {DEEPEST} deep, or contains itself; write the values out"
            )
        self.depth += 1
        value = self._value(node, here)
        self.depth -= 1
        return value

    def _value(self, node: yaml.Node, here: Marked) -> Marked:
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return replace(here, value=self.entries(node))
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return replace(here, value=[self.mark(child) for child in node.value])
        try:
            value = self.loader.construct_object(node, deep=True)
        except ValueError:  # Python reads no number of so many digits
            value = LARGEST + 1 if node.tag.endswith(":int") and node.value else None
            if value is None:
                raise
        except (AttributeError, LookupError, TypeError, OverflowError):  # of `!!timestamp x`, `!!bool x`, `!!int ""`
            kind = node.tag.rpartition(":")[2]
            raise SpecError(f"{here.place}: what is tagged so is no {kind}; leave the tag out") from None
        if isinstance(value, int) and abs(value) > LARGEST:
            raise SpecError(f"{here.place}: {_cut(node.value)} is too large a number: at most {LARGEST}, up or down")
        if value is not None and not isinstance(value, bool | int | float | str):
            raise SpecError(f"{here.place}: tag {node.tag} is not allowed; write plain values, lists and mappings")
        if isinstance(value, str):
            _refuse_no_text(value, here)
        return replace(here, value=value)

    def entries(self, node: yaml.MappingNode) -> dict[str, Marked]:
        self._refuse_repeated(node.value)
        self.loader.flatten_mapping(node)  # resolves `<<`
        # The key as written, not as YAML reads it: `on` and `null` are names here.
        return {key.value: replace(self.mark(child), line=self.empty(key).line) for key, child in node.value}

    def _refuse_repeated(self, pairs: Iterable[tuple[yaml.Node, yaml.Node]]) -> None:
        seen: dict[str, int | None] = {}
        for key, _ in pairs:
            here = self.empty(key)
            if not isinstance(key, yaml.ScalarNode):
                raise SpecError(f"{here.place}: a key must be a plain name, not a list or mapping")
            _refuse_no_text(key.value, here)
            if key.value in seen and key.value != "<<":
                where = f", first on line {seen[key.value]}" if self.numbered else ""
                raise SpecError(f"{here.place}: key '{key.value}' is given twice{where}; keep one of them")
            seen[key.value] = here.line


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def _refuse_no_text(text: str, here: Marked) -> None:
    """Escapes can write what no database, file name or argument holds: a zero byte, and half of a character's pair."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise SpecError(f"{here.place}: {text[:40]!a} is no text: it has a zero byte or a lone surrogate")


def _one_line(text: str) -> str:
    return " ".join(text.split())
