"""Pydantic's errors as sentences: each names the variable, says what is wrong, shows an example, holds no secret."""

from collections.abc import Collection, Mapping
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from runtime.redaction import showable
from runtime.settings.variable import Variable

_OF_ANOTHER: Final = "topup_relation"
_WHOLE: Final = "topup_sentence"
_TOLD: Final = "topup_told"


class SettingsError(Exception):
    """The configuration is wrong: exit code 2.

    Attributes:
        faults: One sentence each; names the variable, shows an example, holds no secret.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def fault_of(field: str, clause: str) -> PydanticCustomError:
    """To be raised by a validator: a clause about another field of the same group than the one that it validates."""
    return PydanticCustomError(_OF_ANOTHER, "{clause}", {"field": field, "clause": clause})


def sentence_fault(sentence: str) -> PydanticCustomError:
    """To be raised by a validator whose fault is about no single variable: the whole sentence."""
    return PydanticCustomError(_WHOLE, "{sentence}", {"sentence": sentence})


def already_told() -> PydanticCustomError:
    """To be raised by a validator whose faults are told already."""
    return PydanticCustomError(_TOLD, "told")


def fault_sentence(variable: Variable, clause: str, text: str | None = None) -> str:
    """`NAME (now 'text') clause, for example NAME=…`."""
    shown = showable(text) if text and not variable.secret else ""
    return f"{variable.name}{shown} {clause}, for example {variable.name}={variable.example}."


def sentences(
    error: ValidationError,
    variables: Mapping[str, Variable],
    texts: Mapping[str, str],
    broken: Collection[str],
    *,
    missing: str,
) -> list[str]:
    """One sentence for each error.

    Args:
        error: What pydantic found, field by field.
        variables: By field.
        texts: What was read, by variable; shown where it is no secret.
        broken: Variables with a fault of their own already.
        missing: The clause for one that is not set.
    """
    told: list[str] = []
    for one in error.errors(include_url=False, include_input=False):
        context = one.get("ctx", {})
        if one["type"] == _TOLD:
            continue
        if one["type"] == _WHOLE:
            told.append(str(context["sentence"]))
            continue
        variable = variables[str(context["field"] if one["type"] == _OF_ANOTHER else one["loc"][0])]
        if variable.name not in broken and (clause := _clause(one, missing)):
            told.append(fault_sentence(variable, clause, texts.get(variable.name)))
    return told


def _clause(error: ErrorDetails, missing: str) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return missing
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return "must be " + str(context["expected"]).replace("'", "").replace(", ", " or ")
        case "default_factory_not_called":  # it follows from another field, whose fault is told
            return ""
        case _:
            return error["msg"]
