"""Sections of a TOML file as frozen dataclasses, checked once, at the edge."""

import dataclasses
import datetime
import re
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from tfvae.errors import UserError, did_you_mean

Section = TypeVar("Section")


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises `UserError` when it is missing or malformed."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML ({error}).") from error


def read_section(cls: type[Section], table: dict[str, Any], where: str) -> Section:
    """`cls(**table)` after every key and type was checked; `where` names the file and section in errors."""
    fields = typing.get_type_hints(cls)
    values = {}
    for key, value in table.items():
        if key not in fields:
            hint = did_you_mean(key, fields)
            raise UserError(f"{where}: unknown key '{key}'.{hint} Known keys: {', '.join(fields)}.")
        values[key] = _coerce(value, fields[key], f"{where}: '{key}'")
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"{where}: '{field.name}' is missing.")
    return cls(**values)


def write_toml(sections: dict[str, Any]) -> str:
    """TOML text of dataclass instances or tables by section name; `None` is left out, as TOML has no null.

    Raises:
        UserError: For text that no TOML file can hold: the name of a file whose bytes are not UTF-8.
    """
    lines = []
    for name, section in sections.items():
        table = section if isinstance(section, dict) else dataclasses.asdict(section)
        lines.append(f"[{name}]")
        lines += [f"{_key(key)} = {toml_value(value)}" for key, value in table.items() if value is not None]
        lines.append("")
    return "\n".join(lines)


def _coerce(value: Any, kind: Any, where: str) -> Any:
    """`value` as the annotated type: integers pass for floats, TOML arrays become tuples."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in arguments if option is not type(None)]
        for option in options:
            try:
                return _coerce(value, option, where)
            except UserError:
                if option is options[-1]:
                    raise
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where} must be a list. Received: {value!r}.")
        return tuple(_coerce(item, arguments[0], where) for item in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"{where} must be a table. Received: {value!r}.")
        return value
    if origin is typing.Literal:
        if value not in arguments:
            hint = did_you_mean(str(value), map(str, arguments))
            raise UserError(f"{where} must be one of {', '.join(map(str, arguments))}.{hint} Received: {value!r}.")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, str):
        check_text(value)
    if (kind is int and isinstance(value, bool)) or not isinstance(value, kind):
        raise UserError(f"{where} must be {kind.__name__}. Received: {value!r}.")
    return value


def toml_value(value: Any) -> str:
    """`value` as TOML writes it, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        check_text(value)
        return '"' + "".join(map(_character, value)) + '"'
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else repr(value)


def check_text(value: str) -> None:
    """Raises `UserError` for text that is not Unicode, as the name of a file whose bytes are not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        shown = value.encode("utf-8", "backslashreplace").decode()
        raise UserError(f"'{shown}' is not UTF-8, and no config.toml can hold it. Accepted: another name.") from None


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def _character(character: str) -> str:
    """In a basic string: quotation marks, backslashes and control characters are escaped."""
    if character in '"\\':
        return f"\\{character}"
    return f"\\u{ord(character):04X}" if ord(character) < 32 or ord(character) == 127 else character
