"""A group of settings, a process's settings as groups put together, and their one load."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, InstanceOf, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime import values
from runtime.settings.environment import Environment
from runtime.settings.faults import SettingsError, sentence_fault
from runtime.settings.variable import parsed, setting, variables_of
from runtime.temporal_environment import TemporalAddress, temporal_address


class Group(BaseModel):
    """A few variables that belong together. A process's settings inherit from each group that it reads.

    Attributes:
        prefix: Of its variables, after `TOPUP_`; a group with one is held in a field of its own (a provider's).
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(  # pyright: ignore[reportIncompatibleVariableOverride] - as BaseSettings has it, so that both go together
        frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=True, hide_input_in_errors=True
    )
    prefix: ClassVar[str] = ""


class TimeScaled(Group):
    """The scale of what waits for the outside world; first of all, since other rules look at it."""

    time_scale: Annotated[float, parsed(values.time_scale)] = setting(
        1.0,
        meaning="multiplies what waits for the outside world, above 0 and at most 1; below 1 for demonstrations and "
        "tests only",
        example="0.05",
    )


class Transport(Group):
    """What may travel unencrypted beyond this machine."""

    allow_cleartext: Annotated[frozenset[str], parsed(values.cleartext)] = setting(
        frozenset(),
        default_text="false",
        meaning="what may be spoken to without TLS beyond this machine: of `carrier`, `provider`, `mqtt`, `kafka`, "
        "`database`, `lookup`, `traces`, separated by commas; all else is refused",
        example="kafka,database",
    )


class ProcessSettings(BaseSettings, TimeScaled, Transport):
    """What every process reads. Frozen; secrets stay out of `repr`.

    Attributes:
        process: Its name, as people know it.
        demands: False for one that only looks around: it needs nothing to be set, and a string that would be needed
            is `""` there.
    """

    process: ClassVar[str]
    demands: ClassVar[bool] = True

    temporal: InstanceOf[TemporalAddress]
    """Where Temporal is, as the `temporal` CLI would read the same environment."""
    warnings: tuple[str, ...] = ()
    """Sentences to log once at start."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment=environment)  # the source below takes it from there

    @classmethod
    def groups(cls) -> tuple[type[Group], ...]:
        """The groups with fields of their own that this process may hold, for the README's table."""
        return ()

    @classmethod
    def other_faults(cls, environment: Environment) -> list[str]:
        """Faults of the environment as a whole."""
        del environment
        return []

    def refusals(self) -> list[str]:
        """Faults that the values show together, each of them being right by itself."""
        return []

    def cautions(self) -> list[str]:
        """Sentences to log at start about what is right and yet seldom meant."""
        said: list[str] = []
        if self.time_scale != 1:
            said.append(
                f"TOPUP_TIME_SCALE is {self.time_scale:g}: every wait for the outside world is shortened, which is "
                "right for demonstrations and tests only; unset it in production."
            )
        if self.allow_cleartext:
            said.append(
                f"TOPUP_ALLOW_CLEARTEXT names {', '.join(sorted(self.allow_cleartext))}: whoever is on the network "
                "between reads and changes what is said there; give each TLS, and unset it in production."
            )
        return said

    @field_validator("temporal", mode="before")
    @classmethod
    def _address(cls, environment: Environment) -> TemporalAddress:
        found = temporal_address(environment.environ)
        if isinstance(found, str):
            raise sentence_fault(found)
        return found

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The given environment alone, with its `_FILE` variables."""
        del env_settings, dotenv_settings, file_secret_settings
        given = cast("dict[str, Any]", cast("Any", init_settings).init_kwargs)
        return (_EnvironmentSource(settings_cls, given["environment"]),)


class _EnvironmentSource(PydanticBaseSettingsSource):
    """Texts for the variables, and the environment itself for fields that hold what is made of several."""

    def __init__(self, settings_cls: type[BaseSettings], environment: Environment) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("all fields come at once")

    def __call__(self) -> dict[str, Any]:
        texts = self._environment.values(self.settings_cls)
        variables = {variable.field for variable in variables_of(self.settings_cls)}
        others = self.settings_cls.model_fields.keys() - variables - {"warnings"}
        return texts | dict.fromkeys(others, self._environment)


S = TypeVar("S", bound=ProcessSettings)


def load(environ: Mapping[str, str], process: type[S]) -> S:
    """The settings of a process out of `environ`, with `_FILE` variables read.

    Only what the process reads is looked at: nothing else is demanded, checked or opened, so that secrets can be given
    to the process that needs them alone.

    Raises:
        SettingsError: with every fault found, not just the first.
    """
    environment = Environment(environ, process.process, demands=process.demands)
    settings: S | None = None
    try:
        settings = process(environment)
    except ValidationError as error:
        environment.collect(error, process)
    faults = environment.faults + process.other_faults(environment) + (settings.refusals() if settings else [])
    if settings is None or faults:
        raise SettingsError(tuple(dict.fromkeys(faults))) from None
    warnings = (*settings.cautions(), *environment.misspelt(known_variables()))
    return settings.model_copy(update={"warnings": warnings})


def known_variables() -> set[str]:
    """The names of all variables that any process reads."""
    return {variable.name for process in processes() for group in read_by(process) for variable in variables_of(group)}


def processes() -> list[type[ProcessSettings]]:
    """Every process that was declared, in the order of declaration."""
    found: list[type[ProcessSettings]] = []
    rest = list(ProcessSettings.__subclasses__())
    while rest:
        one = rest.pop(0)
        found.append(one)
        rest += one.__subclasses__()
    return list(dict.fromkeys(found))


def read_by(process: type[ProcessSettings]) -> tuple[type[BaseModel], ...]:
    """The models whose variables `process` reads: itself, and the groups that it holds in fields of their own."""
    return (process, *process.groups())
