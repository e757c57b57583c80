"""Settings (contracts §9): what a group, a process and a fault are. The processes' own stand in `configuration`."""

from runtime.settings.environment import FILE_SUFFIX, PREFIX, Environment
from runtime.settings.faults import SettingsError, already_told, fault_of, sentence_fault
from runtime.settings.model import Group, ProcessSettings, TimeScaled, load, processes, read_by
from runtime.settings.variable import Variable, parsed, setting, variables_of

__all__ = [
    "FILE_SUFFIX",
    "PREFIX",
    "Environment",
    "Group",
    "ProcessSettings",
    "SettingsError",
    "TimeScaled",
    "Variable",
    "already_told",
    "fault_of",
    "load",
    "parsed",
    "processes",
    "read_by",
    "sentence_fault",
    "setting",
    "variables_of",
]
