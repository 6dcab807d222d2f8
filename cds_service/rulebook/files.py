"""Reading rule files: plain YAML data with line numbers, and nothing that YAML can do beyond data.

No aliases, anchors, tags, merge keys or duplicate keys; bounded in size and depth. Errors say file, line and key.
"""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cds_service.errors import RulebookInvalid

MAX_BYTES = 512 * 1024
MAX_DEPTH = 32

M = TypeVar("M", bound=BaseModel)
Lines = dict[tuple[str | int, ...], int]


class _Loader(yaml.SafeLoader):
    """SafeLoader without the parts of YAML that are not data."""


# YAML 1.1 reads `on` and `yes` as booleans, `010` as eight, `1_000` as a thousand and `12:30` as seconds: not what the
# author sees. Only these plain words and numbers are anything else than text.
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(true|false)$", "tf"),
    ("null", r"^(null|)$", ["n", ""]),
    ("int", r"^-?(0|[1-9][0-9]*)$", "-0123456789"),
    ("float", r"^-?(0|[1-9][0-9]*)\.[0-9]+$", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _line(mark: Any) -> int | None:
    return int(mark.line) + 1 if mark else None


def name_of(path: Path) -> str:
    """A rule file's name for messages: from the rulebook's folder on, without the machine's own folders."""
    parts = path.parts
    return "/".join(parts[parts.index("rules") :]) if "rules" in parts else path.name


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """The data of a YAML file and the line of each of its keys. Raises RulebookInvalid."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RulebookInvalid(f"cannot be read: {error.strerror}", file=name_of(path)) from error
    if len(data) > MAX_BYTES:
        raise RulebookInvalid(f"is larger than {MAX_BYTES} bytes", file=name_of(path))
    try:
        text = data.decode("utf-8")
        _refuse_odd_events(path, text)
        node = yaml.compose(text, Loader=_Loader)
        lines: Lines = {}
        return (_plain(path, node, (), lines) if node else None), lines
    except UnicodeDecodeError as error:
        raise RulebookInvalid("is not UTF-8 text", file=name_of(path)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise RulebookInvalid("is not readable YAML", file=name_of(path), line=_line(mark)) from error


def _refuse_odd_events(path: Path, text: str) -> None:
    """Anchors and aliases are no data; depth is counted here, before anything recurses."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise RulebookInvalid("uses an anchor or alias", file=name_of(path), line=_line(event.start_mark))
        if depth > MAX_DEPTH:
            raise RulebookInvalid(
                f"is nested deeper than {MAX_DEPTH}", file=name_of(path), line=_line(event.start_mark)
            )


def _plain(path: Path, node: yaml.Node, where: tuple[str | int, ...], lines: Lines) -> Any:
    lines[where] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in result:
                raise RulebookInvalid("stands twice", file=name_of(path), line=_line(key_node.start_mark), key=key)
            result[key] = _plain(path, value_node, (*where, key), lines)
            lines[(*where, key)] = key_node.start_mark.line + 1
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, item, (*where, index), lines) for index, item in enumerate(node.value)]
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.endswith(("timestamp", "binary")):
        raise RulebookInvalid("uses a YAML tag", file=name_of(path), line=lines[where])
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_object(node)
    finally:
        loader.dispose()


def read_model(path: Path, model: type[M]) -> M:
    """A YAML file as `model`. Raises RulebookInvalid naming file, line and key of the first fault."""
    data, lines = read_yaml(path)
    return as_model(path, data, lines, model)


def as_model(path: Path, data: Any, lines: Lines, model: type[M]) -> M:
    """Data already read, as `model`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        fault = max(error.errors(include_url=False), key=lambda one: len(one["loc"]))
        line, key = _place(lines, fault["loc"])
        raise RulebookInvalid(fault["msg"], file=name_of(path), line=line, key=key) from error


def _place(lines: Lines, loc: tuple[str | int, ...]) -> tuple[int | None, str]:
    """The deepest known line on the way to a fault; union tags in pydantic's path are passed over."""
    where: tuple[str | int, ...] = ()
    for part in loc:
        if (*where, part) in lines:
            where = (*where, part)
    return lines.get(where), ".".join(str(part) for part in loc)


def below(lines: Lines, first: str | int) -> Lines:
    """The lines of the keys below a top-level one."""
    return {where[1:]: line for where, line in lines.items() if where[:1] == (first,)}
