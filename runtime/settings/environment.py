"""The environment of one process, read variable by variable: each may come from a file that `…_FILE` names."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from runtime.settings.faults import already_told, fault_sentence, sentences
from runtime.settings.variable import PREFIX, Variable, variables_of

FILE_SUFFIX: Final = "_FILE"
LARGEST_FILE_BYTES: Final = 1024 * 1024

G = TypeVar("G", bound=BaseModel)


class Environment:
    """Variables as text, and the faults that were met. An empty variable counts as unset.

    Attributes:
        environ: As given.
        process: Whose it is, for sentences.
        demands: Whether a needed variable that is not set is a fault; else its field holds what stands for "not set".
        faults: Sentences, in the order they were met.
    """

    def __init__(self, environ: Mapping[str, str], process: str, *, demands: bool) -> None:
        self.environ = environ
        self.process = process
        self.demands = demands
        self.faults: list[str] = []
        self._broken: set[str] = set()
        self._texts: dict[str, str] = {}

    def is_set(self, variable: Variable) -> bool:
        """Whether it, or its file, is named in the environment; opens nothing."""
        return bool(self.environ.get(variable.name) or self.environ.get(variable.name + FILE_SUFFIX))

    def mentions(self, model: type[BaseModel]) -> bool:
        """Whether any variable is set that `model` needs: what has a default configures nothing."""
        return any(self.is_set(variable) for variable in variables_of(model) if variable.needed)

    def completes(self, model: type[BaseModel]) -> bool:
        """Whether every variable is set that `model` needs."""
        return all(self.is_set(variable) for variable in variables_of(model) if variable.needed)

    def values(self, model: type[BaseModel]) -> dict[str, Any]:
        """What `model` is validated from: the texts of its variables, read once and remembered for sentences."""
        found: dict[str, Any] = {}
        for variable in variables_of(model):
            if text := self._read(variable):
                found[variable.field] = text
            elif variable.needed and not self.demands:
                found[variable.field] = variable.unset
        return found

    def load(self, model: type[G]) -> G:
        """`model` out of its variables.

        Raises:
            PydanticCustomError: it can't be, and its sentences are among `faults`.
        """
        try:
            return model.model_validate(self.values(model))
        except ValidationError as error:
            self.collect(error, model)
            raise already_told() from None

    def seen(self, variable: Variable) -> str:
        """Its text, unless it stands in a file that nobody here has a reason to open."""
        return self._texts.get(variable.name) or self.environ.get(variable.name, "")

    def collect(self, error: ValidationError, model: type[BaseModel]) -> None:
        """Turn pydantic's errors about `model` into sentences among `faults`."""
        known = {variable.field: variable for variable in variables_of(model)}
        self.faults += sentences(error, known, self._texts, self._broken, missing=self._missing(model))

    def misspelt(self, known: Iterable[str]) -> list[str]:
        """A sentence for each `TOPUP_*` that is set and is none of `known`, with the closest that is."""
        names = set(known)
        told: list[str] = []
        for name in sorted(self.environ):
            bare = name.removesuffix(FILE_SUFFIX)
            if name.startswith(PREFIX) and name not in names and bare not in names:
                close = difflib.get_close_matches(bare, sorted(names), n=1)
                hint = f"did you mean {close[0]}?" if close else "README.md lists the ones there are."
                told.append(f"{name} is set and no setting has this name: {hint}")
        return told

    def _missing(self, model: type[BaseModel]) -> str:
        title = getattr(model, "title", "")
        return (
            f"is not set while other settings of {title} are"
            if title
            else f"is not set and the {self.process} needs it"
        )

    def _read(self, variable: Variable) -> str:
        """The variable's own text, or that of the file it names, or `""`."""
        if variable.name in self._texts or variable.name in self._broken:
            return self._texts.get(variable.name, "")
        direct = self.environ.get(variable.name, "")
        path = self.environ.get(variable.name + FILE_SUFFIX, "")
        if path and direct:
            clause = f"is set and so is {variable.name + FILE_SUFFIX}, where only one of the two can be right"
            self._break(variable, fault_sentence(variable, clause))
            return ""
        text = self._file(variable, path) if path else direct
        if text:
            self._texts[variable.name] = text
        return text

    def _file(self, variable: Variable, path: str) -> str:
        name = variable.name + FILE_SUFFIX
        text, problem = "", ""
        try:
            with Path(path).open("rb") as file:
                text = file.read(LARGEST_FILE_BYTES).decode().strip("\r\n")
        except OSError as error:
            problem = f"can't be read ({error.strerror})"
        except ValueError:
            problem = "is no UTF-8 text"
        else:
            problem = "" if text else "is empty"
        if problem:
            example = f"{name}=/run/secrets/{variable.name.removeprefix(PREFIX).lower()}"
            sentence = f"{name} names {path!r}, which {problem}: give the file that holds {variable.name}, "
            self._break(variable, f"{sentence}for example {example}.")
        return text

    def _break(self, variable: Variable, sentence: str) -> None:
        self.faults.append(sentence)
        self._broken.add(variable.name)
