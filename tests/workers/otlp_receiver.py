"""A collector in this process, which reads what it gets by OpenTelemetry's own definitions."""

import asyncio
import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Receiver:
    """OTLP over HTTP on a free port: answers what it is told to, or hangs."""

    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    status: int = 200
    answer: Mapping[str, Any] = field(default_factory=dict)
    hangs: bool = False
    url: str = ""
    _server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> str:
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self.url

    def close(self) -> None:
        assert self._server is not None
        self._server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(line for line in head.splitlines() if line.lower().startswith("content-length:"))
            body = await reader.readexactly(int(length.partition(":")[2]))
            if self.hangs:
                await reader.read()
                return
            if self.status == 200:
                self.heads.append(head)
                self.requests.append(read(body))
            said = json.dumps(self.answer).encode()
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (self.status, len(said)))
            writer.write(said)
            await writer.drain()
        finally:
            writer.close()

    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def read(body: bytes) -> ExportTraceServiceRequest:
    """OTLP's JSON has its IDs in hexadecimal, where Protobuf's has base64; the rest is Protobuf's, no field unknown."""

    def ids(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: base64.b64encode(bytes.fromhex(one)).decode() if name.endswith(("traceId", "panId")) else ids(one)
                for name, one in value.items()
            }
        return [ids(one) for one in value] if isinstance(value, list) else value

    return json_format.ParseDict(ids(json.loads(body)), ExportTraceServiceRequest())
