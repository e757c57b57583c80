"""What Temporal keeps is encrypted, bound to its workflow, and readable through a rotation."""

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import ActivitySerializationContext, DataConverter, WorkflowSerializationContext
from temporalio.exceptions import ApplicationError

from runtime.payload_codec import EncryptingCodec, UnreadablePayload, key_id, workflow_of
from runtime.temporal import data_converter

KEY, NEXT, OTHER = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
NOTE = "carrier's desk, ticket 4711"


def of(workflow_id: str, namespace: str = "default") -> WorkflowSerializationContext:
    return WorkflowSerializationContext(namespace, workflow_id)


async def written(key: bytes | None, workflow_id: str = "topup/TA00001", text: str = NOTE) -> Payload:
    (payload,) = await data_converter(key).with_context(of(workflow_id)).encode([text])
    return payload


async def read(payload: Payload, key: bytes | None, *old: bytes, workflow_id: str = "topup/TA00001") -> object:
    (value,) = await data_converter(key, old).with_context(of(workflow_id)).decode([payload])
    return value


async def test_what_is_written_is_not_seen_and_comes_back():
    payload = await written(KEY)
    assert NOTE.encode() not in payload.SerializeToString()
    assert await read(payload, KEY) == NOTE
    assert payload.metadata["encryption-key-id"].decode() == key_id(KEY)
    assert workflow_of(payload) == "topup/TA00001"
    assert (await written(KEY)).data != payload.data


async def test_without_a_key_nothing_is_encrypted_and_a_key_reads_that_too():
    plain = await written(None)
    assert NOTE.encode() in plain.data
    assert await read(plain, KEY) == NOTE


async def test_keys_rotate_and_the_next_one_may_be_given_to_readers_beforehand():
    old, new = await written(KEY), await written(NEXT)
    assert await read(old, NEXT, KEY) == NOTE
    assert await read(new, KEY, NEXT) == NOTE
    assert await read(old, None, KEY) == NOTE
    assert NOTE.encode() in (await data_converter(None, (KEY,)).encode([NOTE]))[0].data


async def test_a_key_that_is_missing_is_named_and_so_is_the_setting():
    with pytest.raises(UnreadablePayload, match=rf"{key_id(KEY)}.*TOPUP_CODEC_KEY.*TOPUP_CODEC_OLD_KEYS"):
        await read(await written(KEY), OTHER)
    with pytest.raises(UnreadablePayload, match="TOPUP_CODEC_KEY"):
        await read(await written(KEY), None)


async def test_a_payload_of_one_order_is_none_of_another():
    with pytest.raises(UnreadablePayload, match="somebody has moved it"):
        await read(await written(KEY), KEY, workflow_id="topup/TA00002")
    moved = await written(KEY)
    moved.metadata["topup-workflow-id"] = b"topup/TA00002"
    with pytest.raises(UnreadablePayload, match="was changed"):
        await read(moved, KEY, workflow_id="topup/TA00002")
    elsewhere = data_converter(KEY).with_context(of("topup/TA00001", "another"))
    with pytest.raises(UnreadablePayload, match="somebody has moved it"):
        await elsewhere.decode([await written(KEY)])


async def test_an_activity_of_the_workflow_reads_it_and_so_does_who_reads_everybody_s():
    activity = ActivitySerializationContext("default", "telecom", None, None, "topup/TA00001", None, is_local=False)
    assert await data_converter(KEY).with_context(activity).decode([await written(KEY)]) == [NOTE]
    assert await data_converter(KEY).decode([await written(KEY)]) == [NOTE]
    assert await read((await data_converter(KEY).encode([NOTE]))[0], KEY) == NOTE


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize(
    "context",
    [
        of("topup/TA00001"),
        ActivitySerializationContext("default", "telecom", None, None, "topup/TA00001", None, is_local=True),
    ],
)
def test_a_bound_converter_is_what_the_sdk_would_make_of_it(
    key: bytes | None, context: WorkflowSerializationContext | ActivitySerializationContext
):
    """Kept for the next time it is asked for, and none of its parts differs."""
    whole = data_converter(key)
    light, made = whole.with_context(context), DataConverter.with_context(whole, context)

    parts = {name: value for name, value in vars(made).items() if name != "payload_codec"}
    assert {name: value for name, value in vars(light).items() if name != "payload_codec"} == parts
    assert light.payload_codec is not None
    assert made.payload_codec is not None
    assert vars(light.payload_codec) == vars(made.payload_codec)
    assert (light is whole) == (key is None)


async def test_the_runs_of_a_schedule_read_one_another():
    """A schedule hands each run the result of the one before."""
    before = await written(KEY, "topup-sweep-2026-11-28T10:00:00Z")
    assert await read(before, KEY, workflow_id="topup-sweep-2026-11-28T10:10:00Z") == NOTE
    assert await read(before, KEY, workflow_id="topup-sweep") == NOTE


@pytest.mark.parametrize("key", [OTHER, None])
async def test_what_an_earlier_scheduled_run_left_under_a_key_that_is_gone_holds_up_no_later_one(key: bytes | None):
    before = await written(KEY, "topup-sweep-2026-11-28T10:00:00Z")
    for_later = data_converter(key).with_context(of("topup-sweep-2026-11-28T10:10:00Z")).payload_codec
    assert for_later is not None
    assert await for_later.decode([before]) == [before], "nobody reads it"
    with pytest.raises(KeyError, match="binary/encrypted"):
        await read(before, key, workflow_id="topup-sweep-2026-11-28T10:10:00Z")


@pytest.mark.parametrize("cut", [0, 5, 12, 30])
async def test_what_was_changed_is_refused_by_a_sentence(cut: int):
    payload = await written(KEY)
    payload.data = payload.data[:cut]
    with pytest.raises(UnreadablePayload, match="was changed"):
        await read(payload, KEY)


async def test_nothing_is_encrypted_twice():
    payload = await written(KEY)
    assert await EncryptingCodec(NEXT).encode([payload]) == [payload]


async def test_a_failure_s_message_and_trace_are_encrypted_too():
    cause = ValueError("cause 4711")
    error = ApplicationError("ticket 4711", type="Refused")
    error.__cause__ = cause
    failure = Failure()
    converter = data_converter(KEY).with_context(of("topup/TA00001"))
    await converter.encode_failure(error, failure)
    assert b"4711" not in failure.SerializeToString()
    assert failure.message == "Encoded failure"
    back = await converter.decode_failure(failure)
    assert str(back) == "Refused: ticket 4711"
    assert "cause 4711" in str(back.__cause__)
