"""Typed configuration: frozen dataclasses are schema and defaults; YAML files and --set override them, strictly.

Each part of the project owns its settings (settings.py, data/data_settings.py, models/*.py, losses/*.py). This file
holds what they share: reading, merging, renamed keys, type checks.
"""

import copy
import dataclasses
import difflib
import functools
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml

from sleepkd.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = _PACKAGE / "configs"  # in an installed package; a checkout has them beside the package
CONFIGS = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent / "configs"
_YES_NO = {True: ("yes", "true", "on"), False: ("no", "false", "off")}


def merged(
    files: list[str],
    overrides: list[str],
    keys: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[Any, Any]] | None = None,
) -> dict[str, Any]:
    """YAML files merged left to right, then `a.b=value` overrides. Raises UserError naming the file or the override.

    keys, values: names of earlier versions, as `renamed` takes them.
    """
    result: dict[str, Any] = {}
    for name in files:
        _merge(result, renamed(read_yaml(find_config(name)), keys or {}, values or {}))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set {override}: expected key=value, for example train.epochs=3")
        value = _nested(key.split("."), _parse(text, f"--set {override}"))
        _merge(result, renamed(value, keys or {}, values or {}))
    return result


def renamed(
    content: Mapping[str, Any],
    keys: Mapping[str, str],
    values: Mapping[str, Mapping[Any, Any]],
    quiet: bool = False,
) -> dict[str, Any]:
    """Nested values with the keys and values of earlier versions replaced by the current ones.

    keys: {dotted key then: dotted key now}. values: {dotted key now: {value then: value now}}.
    A note on stderr names each replaced key once per process, unless `quiet`.
    """
    result = copy.deepcopy(dict(content))
    for old, new in keys.items():
        *parents, last = old.split(".")
        section = _section(result, parents)
        if section is not None and last in section:
            value = section.pop(last)
            _merge(result, _nested(new.split("."), value))
            if not quiet:
                _note(f"{old} is now {new}")
    for key, replacements in values.items():
        *parents, last = key.split(".")
        section = _section(result, parents)
        if section is not None and isinstance(section.get(last), str) and section[last] in replacements:
            old_value = section[last]
            section[last] = replacements[old_value]
            if not quiet:
                _note(f"{key}: {old_value} is now {section[last]}")
    return result


def _nested(parts: Sequence[str], value: Any) -> dict[str, Any]:
    """{a: {b: value}} of the parts (a, b)."""
    for part in reversed(parts):
        value = {part: value}
    return value


def _section(content: dict[str, Any], parents: Sequence[str]) -> dict[str, Any] | None:
    """The mapping at a path of keys, None where the path ends before."""
    section: Any = content
    for part in parents:
        section = section.get(part) if isinstance(section, dict) else None
    return section if isinstance(section, dict) else None


@functools.cache
def _note(text: str) -> None:
    """Print a note on stderr, once per process."""
    print(f"note: {text}", file=sys.stderr)


def find_config(name: str, folder: Path = CONFIGS) -> Path:
    """A config by path, or by bare name (with or without .yaml) in `folder`."""
    candidates = [Path(name), folder / name, folder / f"{name}.yaml"]
    for path in candidates:
        if path.is_file():
            return path
    known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
    raise UserError(f"{name}: no such config, here or in {folder.name}/ (which has: {known})")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a mapping; UserError naming the file where it is not one."""
    try:
        content = _parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def to_dict(config: Any) -> dict[str, Any]:
    """A settings dataclass as plain values (tuples as lists), for YAML and checkpoints."""
    return _plain(dataclasses.asdict(config))


Schema = TypeVar("Schema")


def from_dict(schema: type[Schema], values: dict[str, Any], prefix: str = "") -> Schema:
    """A dataclass from nested mappings. Raises UserError naming the dotted key that is unknown or of the wrong type."""
    hints = typing.get_type_hints(schema, include_extras=True)
    for key in values:
        if key not in hints:
            nearest = difflib.get_close_matches(str(key), hints, n=1, cutoff=0.0)
            raise UserError(f"{prefix}{key}: unknown key; did you mean {prefix}{nearest[0]}?")
    required = {f.name for f in dataclasses.fields(schema) if _has_no_default(f)}  # type: ignore[arg-type]
    for key in sorted(required - set(values)):
        raise UserError(f"{prefix}{key}: is missing")
    return schema(**{key: _typed(hints[key], value, f"{prefix}{key}") for key, value in values.items()})


def _has_no_default(f: dataclasses.Field) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _typed(hint: Any, value: Any, key: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is Annotated:  # a function (value, key) -> typed value, for example a registry's
        return hint.__metadata__[0](value, key)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise UserError(f"{key}: expected a section of keys, got {value!r}")
        return from_dict(hint, value, prefix=f"{key}.")
    if origin is Literal:
        allowed = typing.get_args(hint)
        if isinstance(value, bool):  # true is meant as yes where yes is a choice
            value = next((word for word in _YES_NO[value] if word in allowed), value)
        if not any(value == choice and type(value) is type(choice) for choice in allowed):
            raise UserError(f"{key}: must be one of {', '.join(map(str, allowed))}; is {value!r}")
        return value
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise UserError(f"{key}: expected a list, got {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(_typed(item, entry, f"{key}[{i}]") for i, entry in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"{key}: expected keys and values, got {value!r}")
        item = typing.get_args(hint)[1]
        return {str(name): _typed(item, entry, f"{key}.{name}") for name, entry in value.items()}
    if origin in (types.UnionType, typing.Union):  # T | None
        return None if value is None else _typed(typing.get_args(hint)[0], value, key)
    if hint is bool and isinstance(value, str):  # yes and no are text to the reader below
        value = next((meant for meant, words in _YES_NO.items() if value.lower() in words), value)
    if hint is float and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as text
        except (TypeError, ValueError):
            pass
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"{key}: expected {hint.__name__}, got {value!r}")


class _Loader(yaml.SafeLoader):
    """A safe, strict loader: a repeated key is an error, and every key stays text.

    As in YAML 1.2, only true and false are booleans; yes, no, on and off stay words.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (defined so by pyyaml)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not valid YAML: {error}") from None


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def require(holds: bool, key: str, problem: str) -> None:
    """Raise UserError naming the key unless the condition holds."""
    if not holds:
        raise UserError(f"{key}: {problem}")
