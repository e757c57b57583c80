"""A command's settings, with its logs where they disturb no script: warnings, on standard error."""

import logging
import os
from typing import TypeVar

from configuration.processes import (
    DifferencesSettings,
    DlqSettings,
    DoctorSettings,
    GoodwillSettings,
    HoldSettings,
    OrdersSettings,
    PaymentsSettings,
    ReconcileSettings,
    RunsSettings,
    SetupSettings,
)
from console.exits import CommandFailed, Exit
from runtime.settings import ProcessSettings, SettingsError, load
from runtime.telemetry import configure_logging

__all__ = [
    "DifferencesSettings",
    "DlqSettings",
    "DoctorSettings",
    "GoodwillSettings",
    "HoldSettings",
    "OrdersSettings",
    "PaymentsSettings",
    "ReconcileSettings",
    "RunsSettings",
    "SetupSettings",
    "settings_for",
]

S = TypeVar("S", bound=ProcessSettings)


def settings_for(process: type[S]) -> S:
    """Load the settings of `process` out of the environment.

    Raises:
        CommandFailed: a sentence for each fault; exit code 2.
    """
    configure_logging(level=logging.WARNING)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the command itself says, once, that no broker answers
    try:
        return load(os.environ, process)
    except SettingsError as error:
        raise CommandFailed(*error.faults, code=Exit.WRONG_USAGE) from error
