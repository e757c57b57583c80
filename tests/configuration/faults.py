"""What a process says of a wrong environment, and which variables it reads."""

import pytest

from configuration.processes import PROCESSES
from runtime.settings import ProcessSettings, SettingsError, load, read_by, variables_of


def faults(environ: dict[str, str], process: type[ProcessSettings]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        load(environ, process)
    return raised.value.faults


def only_fault(environ: dict[str, str], process: type[ProcessSettings]) -> str:
    found = faults(environ, process)
    assert len(found) == 1, found
    return found[0]


VARIABLES = {
    variable.name: (variable, group)
    for process in PROCESSES
    for group in read_by(process)
    for variable in variables_of(group)
}


def names_read_by(process: type[ProcessSettings]) -> set[str]:
    return {variable.name for group in read_by(process) for variable in variables_of(group)}
