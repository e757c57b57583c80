"""A variable, declared once as a field of a settings group: its type, its parser, and what people are told of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import BaseModel, BeforeValidator, Field
from pydantic.fields import FieldInfo

PREFIX: Final = "TOPUP_"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable as people meet it.

    Attributes:
        name: With its prefix.
        field: Its attribute of the settings.
        default: As text, as the README shows it; `""` = none.
        meaning: One line for the README.
        example: A value that loads.
        needed: Whether a process that reads it can't start without it.
        secret: Never shown, in no sentence and no `repr`.
        unset: What its field holds where nothing is set and nothing is demanded.
        group_title: Of the provider that it configures as a part of a whole; `""` = it stands for itself.
    """

    name: str
    field: str
    default: str
    meaning: str
    example: str
    needed: bool
    secret: bool
    unset: object
    group_title: str


def setting(
    default: Any = ...,
    *,
    meaning: str,
    example: str,
    secret: bool = False,
    name: str = "",
    unset: object = "",
    default_factory: Callable[..., Any] | None = None,
    default_text: str = "",
) -> Any:
    """Declare a field as a variable. Without a default, each process that reads it demands it.

    Args:
        default: The field's value where nothing is set.
        meaning: One line for the README.
        example: A value that loads.
        secret: Keep it out of sentences and `repr`.
        name: The variable, where it isn't the group's prefix and the field's name.
        unset: The field's value where it has no default and the process demands nothing (`topup doctor`).
        default_factory: Makes the default out of the fields before it.
        default_text: The README's words for it, where the default itself doesn't say them.
    """
    told = {"topup": {"name": name, "unset": unset, "default_text": default_text}}
    extra: dict[str, Any] = {"description": meaning, "examples": [example], "repr": not secret}
    extra["json_schema_extra"] = told
    if default_factory is not None:
        return Field(default_factory=default_factory, **extra)
    return Field(default, **extra)


def parsed(parse: Callable[[str], object]) -> BeforeValidator:
    """A field whose text is read by `parse`, which raises `ValueError` with a clause (`runtime.values`)."""

    def read(value: object) -> object:
        return parse(value) if isinstance(value, str) and value else value

    return BeforeValidator(read)


def variables_of(model: type[BaseModel]) -> tuple[Variable, ...]:
    """The variables that are fields of `model`, in order; those of groups inside it are not among them."""
    prefix, title = PREFIX + str(getattr(model, "prefix", "")), str(getattr(model, "title", ""))
    return tuple(
        _variable(prefix, title, field, info) for field, info in model.model_fields.items() if _told(info) is not None
    )


def _told(info: FieldInfo) -> Mapping[str, Any] | None:
    extra = info.json_schema_extra
    return cast("dict[str, Any]", extra).get("topup") if isinstance(extra, dict) else None


def _variable(prefix: str, title: str, field: str, info: FieldInfo) -> Variable:
    told = _told(info)
    assert told is not None
    assert info.examples, "a variable is shown with an example in each of its faults"
    return Variable(
        name=told["name"] or prefix + field.upper(),
        field=field,
        default=told["default_text"] or ("" if info.is_required() else _as_text(info.default)),
        meaning=info.description or "",
        example=str(info.examples[0]),
        needed=info.is_required(),
        secret=not info.repr,
        unset=told["unset"],
        group_title=title,
    )


def _as_text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | str():
            return str(value)
        case float():
            return f"{value:g}"
        case _:  # None, (), a factory: no text stands for it
            return ""
