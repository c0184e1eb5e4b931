"""Typed configuration: frozen dataclasses are schema and defaults; YAML files and --set fill them in, strictly.

Each part of the project owns its settings (data/settings.py, models/*.py, distillation/terms/*.py, …); here is what
they share: reading, merging, typing.
"""

import dataclasses
import difflib
import re
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml

from sleepkd.errors import UserError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
_YES_NO = {True: ("yes", "true", "on"), False: ("no", "false", "off")}


def merged(files: list[str], overrides: list[str]) -> dict[str, Any]:
    """YAML files merged left to right, then `a.b=value` overrides; UserError names the file or the override."""
    values: dict[str, Any] = {}
    for name in files:
        _merge(values, read_yaml(find_config(name)))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set {override}: expected key=value, for example train.epochs=3")
        value: Any = _parse(text, f"--set {override}")
        for part in reversed(key.split(".")):
            value = {part: value}
        _merge(values, value)
    return values


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
    """A config dataclass as plain values (tuples as lists) for YAML and checkpoints."""
    return _plain(dataclasses.asdict(config))


Schema = TypeVar("Schema")


def from_dict(schema: type[Schema], values: dict[str, Any], prefix: str = "") -> Schema:
    """Fill a dataclass from nested mappings; UserError names the dotted key that is unknown or of a wrong type."""
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
    if origin is Annotated:  # a section whose schema a registry knows: (value, key) -> what it means
        return hint.__metadata__[0](value, key)
    if dataclasses.is_dataclass(hint):
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
    """Safe, and strict: a key given twice is an error, not the last one's win, and every key is the text it was.

    As in YAML 1.2, true and false alone are truth values: yes, no, on and off are words, which label and choose things.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (pyyaml's own way to say it)
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
    """UserError naming the key where something does not hold."""
    if not holds:
        raise UserError(f"{key}: {problem}")
