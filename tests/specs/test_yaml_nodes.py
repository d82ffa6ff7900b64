"""YAML is read as people mean it, and what cannot be meant is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fx_assets.specs.yaml_nodes import MAX_BYTES, YamlError, parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: NO", "NO"),
        ("a: yes", "yes"),
        ("a: 1e-3", 0.001),
        ("a: 12:30", "12:30"),
        ("a: 010", 10),
        ("a: true", True),
        ("a: ~", None),
        ("a: 1999-01-04", "1999-01-04"),
        ("a: '5'", "5"),
        ("a: 0x10", "0x10"),
    ],
)
def test_scalars_mean_what_they_say(text: str, value: object) -> None:
    found = parse(text).value["a"]
    assert found == value
    assert type(found) is type(value)


def test_lines_are_remembered() -> None:
    document = parse("a: 1\nb:\n  c: 2\n  d:\n    - x\n    - y\n")
    assert document.line(("b", "c")) == 3
    assert document.line(("b", "d", 1)) == 6
    assert document.line(("b", "missing", "deeper")) == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a' stands twice (first on line 1)"),
        ("a: &x 1\nb: *x\n", 1, "aliases"),
        ("a: !!python/object:os.system x\n", 1, "tag"),
        ("a: [1, 2\n", 2, ""),
        ("? [1, 2]\n: 3\n", 1, "plain text"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, line: int, words: str) -> None:
    with pytest.raises(YamlError) as caught:
        parse(text)
    assert caught.value.line == line
    assert words in str(caught.value)


def test_large_and_binary_files_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text("a: " + "x" * MAX_BYTES)
    with pytest.raises(YamlError, match="at most"):
        read(large)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(YamlError, match="not UTF-8 at byte 8") as caught:
        read(binary)
    assert caught.value.line == 2
