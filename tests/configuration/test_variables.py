"""Each variable is declared once, read by a process, shown in the README's table, and has an example that loads."""

import re

import pytest
from pydantic import BeforeValidator

from configuration.processes import PROCESSES
from configuration.table import configuration_table
from runtime.settings import Group, variables_of
from tests.configuration.faults import VARIABLES

CONTRACT_VARIABLES = set(
    re.findall(
        r"\w+",
        """
    TASK_QUEUE DATABASE_URL KAFKA_BOOTSTRAP_SERVERS KAFKA_TOPIC KAFKA_DLQ_TOPIC KAFKA_GROUP KAFKA_SECURITY_PROTOCOL
    KAFKA_SASL_MECHANISM KAFKA_SASL_USERNAME KAFKA_SASL_PASSWORD KAFKA_SSL_CAFILE KAFKA_SSL_CERTFILE KAFKA_SSL_KEYFILE
    KAFKA_API_VERSION CARRIER_DIALECT CARRIER_URL CARRIER_TOKEN WECHAT_URL WECHAT_MCHID WECHAT_APPID WECHAT_SERIAL_NO
    WECHAT_PRIVATE_KEY WECHAT_API_V3_KEY WECHAT_PUBLIC_KEY_ID WECHAT_PUBLIC_KEY ALIPAY_URL ALIPAY_APP_ID
    ALIPAY_SELLER_ID ALIPAY_PRIVATE_KEY ALIPAY_PUBLIC_KEY REFUND_NOTIFY_URL MQTT_BROKERS HTTP_PORT HTTP_HOST PII_KEY
    TIME_SCALE
    """,
    )
)


def declared_groups() -> set[type[Group]]:
    found: set[type[Group]] = set()
    rest = [Group]
    while rest:
        one = rest.pop()
        found.add(one)
        rest += one.__subclasses__()
    # What others only build on has no variables of its own: theirs get a name with them.
    leaves = {group for group in found if not group.__subclasses__()}
    return {group for group in leaves if group.__module__.startswith(("runtime.", "adapters.", "configuration."))}


def test_every_variable_of_the_contract_is_known():
    assert {f"TOPUP_{name}" for name in CONTRACT_VARIABLES} <= VARIABLES.keys()


def test_every_variable_that_is_declared_is_read_by_a_process():
    declared = {variable.name for group in declared_groups() for variable in variables_of(group)}
    assert declared == VARIABLES.keys()


def test_every_variable_is_a_row_of_the_readme_table_once():
    rows = configuration_table().splitlines()[2:]
    names = [row.split("`")[1] for row in rows]
    assert sorted(names) == sorted(VARIABLES)


def test_the_readme_table_shows_who_reads_what_and_no_process_that_is_not_there():
    rows = {
        row.split("`")[1]: [cell.strip() for cell in row.split("|")] for row in configuration_table().splitlines()[2:]
    }
    assert rows["TOPUP_TIME_SCALE"][2:4] == ["`1`", "all"]
    assert rows["TOPUP_HTTP_PORT"][2:4] == [
        "8081 worker, 8082 bridge, 8083 gateway, 8084 codec-server",
        "worker, bridge, gateway, codec-server",
    ]
    assert rows["TOPUP_DATABASE_URL"][2:4] == [
        "needed",
        "worker, bridge, setup, orders, hold, dlq, payments, reconcile",
    ]
    assert rows["TOPUP_WECHAT_MCHID"][2:4] == ["", "worker, gateway, reconcile"]
    assert rows["TOPUP_CARRIER_LONGEST_LATENCY_SECONDS"][2:4] == ["`60`", "worker, reconcile"]
    words = {name.strip() for row in rows.values() for name in row[3].split(",")}
    assert words <= {"all"} | {process.process for process in PROCESSES}


@pytest.mark.parametrize("process", PROCESSES)
def test_no_two_groups_of_a_process_have_a_validator_of_one_name(process):
    """Pydantic keeps validators by their functions' names: of two with one name, only one would ever run."""
    names = [
        name
        for base in process.__mro__
        if issubclass(base, Group)
        for name in base.__pydantic_decorators__.field_validators
        if name in vars(base)
    ]
    assert names
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", VARIABLES)
def test_every_default_and_every_plain_example_loads(name):
    variable, group = VARIABLES[name]
    readers = [one for one in group.model_fields[variable.field].metadata if isinstance(one, BeforeValidator)]
    texts = [variable.example.strip("'")] if not variable.secret else []
    texts += [variable.default] if "," not in variable.default else []
    for text in texts:
        for reader in readers:
            reader.func(text)
