import json

import pytest

from adapters.mqtt.settings import parse_brokers

PLAIN = {"name": "cars", "url": "mqtt://broker:1883"}


def test_a_broker_needs_a_name_and_a_url_alone():
    (broker,) = parse_brokers(json.dumps([PLAIN]))
    assert (broker.name, broker.host, broker.port, broker.tls) == ("cars", "broker", 1883, False)
    assert (broker.version, broker.topic, broker.keepalive_seconds) == ("5", "vehicles/{vin}/topup", 60)
    assert (broker.publishes_per_second, broker.username, broker.password) == (None, None, None)


def test_every_member_is_taken():
    broker = {
        "name": "old_1-A",
        "url": "mqtts://us%40er:p%3Aw@broker.example:8884",
        "version": "3.1.1",
        "topic": "a/{vin_sha256}/{order_id}",
        "keepalive_seconds": 30,
        "publishes_per_second": 10,
        "cafile": "ca.pem",
        "certfile": "c.pem",
        "keyfile": "k.pem",
    }
    (read,) = parse_brokers(json.dumps([broker]))
    for member, value in broker.items():
        assert getattr(read, member) == value
    assert (read.username, read.password, read.port, read.tls) == ("us@er", "p:w", 8884, True)
    assert "p%3Aw" not in repr(read)


def test_a_port_left_out_is_the_usual_one():
    (broker,) = parse_brokers(json.dumps([{"name": "cars", "url": "mqtts://broker"}]))
    assert broker.port == 8883


def test_order_is_kept():
    names = [b.name for b in parse_brokers(json.dumps([PLAIN | {"name": n} for n in ("b", "a", "c")]))]
    assert names == ["b", "a", "c"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cars",
        "{}",
        "[1]",
        '[{"name": "a", "name": "b", "url": "mqtt://h"}]',
        "[" * 100_000,
        json.dumps([PLAIN, PLAIN]),
    ],
)
def test_what_is_no_array_of_distinct_brokers_is_refused(text):
    with pytest.raises(ValueError, match=r"^must "):
        parse_brokers(text)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "a b"}, "`name`"),
        ({"name": "a/b"}, "`name`"),
        ({"name": ""}, "`name`"),
        ({"name": "é"}, "`name`"),
        ({"name": 1}, "`name`"),
        ({"name": None}, "`name`"),
        ({"url": None}, "`url`"),
        ({"url": "tcp://h:1883"}, "`url`"),
        ({"url": "mqtt://"}, "`url`"),
        ({"url": "mqtt://h:0"}, "`url`"),
        ({"url": "mqtt://h:70000"}, "`url`"),
        ({"url": "mqtt://h:1883/path"}, "`url`"),
        ({"url": "mqtt://h x"}, "`url`"),
        ({"version": 5}, "`version`"),
        ({"version": "4"}, "`version`"),
        ({"topic": "cars/{vim}"}, "`topic`"),
        ({"topic": "cars/{}"}, "`topic`"),
        ({"topic": "cars/{vin"}, "`topic`"),
        ({"topic": "cars/+/{vin}"}, "`topic`"),
        ({"topic": "cars/{vin}/#"}, "`topic`"),
        ({"topic": "$SYS/{vin}"}, "`topic`"),
        ({"topic": ""}, "`topic`"),
        ({"topic": "a\u0000{vin}"}, "`topic`"),
        ({"keepalive_seconds": 0}, "`keepalive_seconds`"),
        ({"keepalive_seconds": 1.5}, "`keepalive_seconds`"),
        ({"keepalive_seconds": True}, "`keepalive_seconds`"),
        ({"keepalive_seconds": 65536}, "`keepalive_seconds`"),
        ({"publishes_per_second": 0}, "`publishes_per_second`"),
        ({"publishes_per_second": "10"}, "`publishes_per_second`"),
        ({"publishes_per_second": True}, "`publishes_per_second`"),
        ({"cafile": ""}, "`cafile`"),
        ({"cafile": "ca.pem"}, "mqtts://"),
        ({"url": "mqtts://h", "certfile": "c.pem"}, "`keyfile`"),
        ({"keepalive": 30}, "'keepalive'"),
    ],
)
def test_each_wrong_member_is_named_with_the_broker_it_stands_in(change, named):
    with pytest.raises(ValueError, match="broker 2") as raised:
        parse_brokers(json.dumps([PLAIN | {"name": "first"}, PLAIN | change]))
    assert named in str(raised.value)


def test_no_fault_shows_a_password():
    with pytest.raises(ValueError, match="`url`") as raised:
        parse_brokers('[{"name": "a", "url": "mqtt://u:hunter2@h:0"}]')
    assert "hunter2" not in str(raised.value)
