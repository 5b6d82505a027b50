"""Settings files: from a mapping to dataclasses, every fault named at once.

A field's default says what type a value must have; a field without a default says it by its
annotation. Nested dataclasses are nested mappings.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin

import yaml

from assistant.errors import PoiseError


class _Loader(yaml.SafeLoader):
    """YAML that reads 2e-3 as a number, as YAML 1.2 does, and refuses a key given twice.

    PyYAML alone reads 2e-3 as text and keeps the last of equal keys in silence.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = [key for i, key in enumerate(keys) if key in keys[:i]]
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {twice[0]!r} twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+"),
    list("-+0123456789"),
)


def read_yaml(text: str, name: str) -> Any:
    """The content of a YAML text; `name` says in errors where it is from."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as fault:
        raise PoiseError(
            f"cannot read {name}", got=str(fault), expected="YAML of keys and values"
        ) from fault


def faults_of(kind: Any, raw: Mapping[str, Any], place: str = "") -> list[str]:
    """What is wrong with the settings of one dataclass and of those inside it.

    Args:
        kind: the dataclass.
        raw: its settings as read.
        place: where they stand, "lora." for example.
    """
    known = {spec.name: spec for spec in fields(kind)}
    faults = [f"unknown key {place}{k} (known: {', '.join(known)})" for k in raw if k not in known]
    for name, spec in known.items():
        default = _default(spec)
        if name not in raw:
            faults += [f"missing key {place}{name}"] if default is MISSING else []
        elif is_dataclass(default) and isinstance(raw[name], Mapping):
            faults += faults_of(type(default), raw[name], f"{place}{name}.")
        elif wanted := _misfit(spec.type, default, raw[name]):
            faults.append(f"{place}{name} is {raw[name]!r}, expected {wanted}")
    return faults


def build(kind: Any, raw: Mapping[str, Any]) -> Any:
    """The dataclass from settings without faults; its own checks may still raise PoiseError."""
    values = {}
    for spec in fields(kind):
        if spec.name in raw:
            value, default = raw[spec.name], _default(spec)
            if is_dataclass(default):
                value = build(type(default), value)
            elif isinstance(default, tuple):
                value = tuple(value)
            elif isinstance(default, float):
                value = float(value)
            values[spec.name] = value
    return kind(**values)


def checked(kind: Any, raw: Mapping[str, Any], place: str) -> list[str]:
    """As `faults_of`, and what the dataclass itself finds wrong when it is built."""
    faults = faults_of(kind, raw, place)
    if not faults:
        try:
            build(kind, raw)
        except PoiseError as fault:
            faults.append(str(fault))
    return faults


def _default(spec: Any) -> Any:
    """The default value of a dataclass field, MISSING where there is none."""
    return spec.default_factory() if spec.default_factory is not MISSING else spec.default


def _misfit(annotation: Any, default: Any, value: Any) -> str:
    """What is expected where `value` does not fit, else nothing."""
    if is_dataclass(default) or isinstance(default, Mapping):
        return "" if isinstance(value, Mapping) else "a mapping"
    if get_origin(annotation) is Literal:
        return "" if value in get_args(annotation) else " or ".join(map(str, get_args(annotation)))
    if isinstance(default, tuple):
        inside = type(default[0]) if default else object
        fits = isinstance(value, list | tuple) and all(_is(item, inside) for item in value)
        return "" if fits and value else f"a list of {inside.__name__}"
    kind = annotation if default is MISSING else type(default)
    return "" if _is(value, kind) else kind.__name__


def _is(value: Any, kind: type) -> bool:
    """Whether a value may stand for one of `kind`: a whole number for a float, no bool for one."""
    if isinstance(value, bool):
        return kind in (bool, object)
    return isinstance(value, (int, float) if kind is float else kind)
