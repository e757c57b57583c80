"""The README's table of settings, made of the declarations; a test compares the two."""

from configuration.processes import PROCESSES, DoctorSettings, ServeSettings
from runtime.settings import ProcessSettings, Variable, variables_of

SHOWN = tuple(process for process in PROCESSES if process is not ServeSettings)
"""`serve` reads what `worker` and `bridge` read, which the README says in one sentence."""


def configuration_table() -> str:
    """Markdown: each variable once, with its default and the processes that read it."""
    rows: dict[str, Variable] = {}
    readers: dict[str, list[str]] = {}
    defaults: dict[str, dict[str, str]] = {}
    for process in SHOWN:
        for variable in _read_by(process):
            rows.setdefault(variable.name, variable)
            readers.setdefault(variable.name, []).append(process.process)
            defaults.setdefault(variable.name, {})[process.process] = variable.default
    lines = ["| variable | default | used by | meaning |", "|---|---|---|---|"]
    for name, variable in rows.items():
        default = _default(variable, defaults[name])
        lines.append(f"| `{name}` | {default} | {_used_by(readers[name])} | {variable.meaning} |")
    return "\n".join(lines) + "\n"


def _read_by(process: type[ProcessSettings]) -> list[Variable]:
    """Group by group, as the process names its groups; then those of its carrier and providers."""
    order = {
        field: place for place, base in enumerate(process.__mro__) for field in vars(base).get("__annotations__", ())
    }
    own = sorted(variables_of(process), key=lambda variable: order[variable.field])
    others = [variable for group in process.groups() for variable in variables_of(group)]
    return list({variable.name: variable for variable in (*own, *others)}.values())


def _default(variable: Variable, by_process: dict[str, str]) -> str:
    if len(set(by_process.values())) > 1:
        return ", ".join(f"{default} {process}" for process, default in by_process.items())
    if variable.needed and not variable.group_title:
        return "needed"
    return f"`{variable.default}`" if variable.default else ""


def _used_by(readers: list[str]) -> str:
    """Doctor reads all that others read, which goes without saying."""
    if len(readers) == len(SHOWN):
        return "all"
    return ", ".join(name for name in readers if name != DoctorSettings.process) or DoctorSettings.process


if __name__ == "__main__":
    print(configuration_table(), end="")  # noqa: T201 - to be pasted into the README
