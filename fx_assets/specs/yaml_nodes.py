"""Reads YAML as people mean it, and remembers the line of every key.

`NO` stays text, `1e-3` is a number and `12:30` is not a count of seconds (YAML 1.2's core schema).
Duplicate keys, aliases, tags and files over 256 KB are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 256 * 1024
_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}

KeyPath = tuple[str | int, ...]


class YamlError(ValueError):
    """A file that is not the YAML this project reads; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class Document:
    """A parsed file: its value, and the line on which each key or item stands."""

    value: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int:
        """Line of `path`, or of the nearest parent that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def scalar(text: str) -> Any:
    """Plain text to a value: null, true or false, whole number, number, else the text itself."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text


def read(path: Path) -> Document:
    """Read one file. Raises `YamlError` with the line, `OSError` where it cannot be read."""
    raw = path.read_bytes()
    if len(raw) > MAX_BYTES:
        raise YamlError(f"file has {len(raw):,} bytes; at most {MAX_BYTES:,} are read", 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise YamlError(f"not UTF-8 at byte {error.start}", line) from error
    return parse(text)


def parse(text: str) -> Document:
    """Parse YAML text. Raises `YamlError` with the line."""
    try:
        _refuse_magic(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problem = error.problem or "not valid YAML"
        raise YamlError(
            f"{problem} (tabs and unquoted ': ' are common causes)", mark.line + 1 if mark else 1
        ) from error
    except yaml.YAMLError as error:
        raise YamlError(f"not valid YAML: {error}", 1) from error
    document = Document(value=None)
    if node is not None:
        document.value = _value(node, (), document)
    return document


def _refuse_magic(text: str) -> None:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlError("anchors and aliases (& and *) are not read; write the value out", line)
        if tag := getattr(event, "tag", None):
            raise YamlError(f"tag {tag!r} is not read; write plain values", line)


def _value(node: yaml.Node, path: KeyPath, document: Document) -> Any:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError("a key must be plain text", line)
            key = str(key_node.value)
            if key in result:
                first = document.lines[(*path, key)]
                raise YamlError(f"key {key!r} stands twice (first on line {first})", line)
            document.lines[(*path, key)] = line
            result[key] = _value(value_node, (*path, key), document)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), document) for index, item in enumerate(node.value)]
    return _scalar_value(node)


def _scalar_value(node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        raise YamlError("unexpected YAML node", node.start_mark.line + 1)
    if node.style is not None:
        return str(node.value)
    return scalar(str(node.value))
