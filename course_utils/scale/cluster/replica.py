"""What runs in each replica: an engine behind /v1/completions and /v1/models. Ray Serve starts, checks and drains it.

Taught in: chapter 10.
"""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from course_utils.scale.cluster.completions import Answer, Ask, Refused, event, model_list, read_ask
from course_utils.scale.cluster.decoder import Decoder
from course_utils.scale.cluster.engine import Engine, EngineSettings, QueueFull, Sequence
from course_utils.scale.cluster.graph import onnx_model

MODEL_NAME = "tiny"


class CompletionServer:
    """Serves the model in `folder` under the name `model`. Made into a deployment by `service.serving`."""

    def __init__(self, folder: str, model: str, settings: EngineSettings):
        self._folder, self._model, self._settings = Path(folder), model, settings
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        self._decoder = Decoder(onnx_model(self._folder), settings.max_running)
        self._engine: Engine | None = None
        _stay_on_loopback()

    async def __call__(self, request):
        """Answer one HTTP request (starlette's Request, as Serve hands it over)."""
        from starlette.responses import JSONResponse, StreamingResponse

        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        headers = {"x-request-id": request_id, "x-replica": str(os.getpid())}
        try:
            path = (request.method, request.url.path.rstrip("/"))
            if path == ("GET", "/v1/models"):
                return JSONResponse(model_list(self._model, self._decoder.context_tokens), headers=headers)
            if path != ("POST", "/v1/completions"):
                raise Refused(
                    404, f"{path[0]} {path[1]} is not served; POST /v1/completions is", None, "not_found"
                )
            ask = read_ask(
                await request.body(), request_id, self._model, self._tokenizer, self._decoder.context_tokens
            )
            sequence = self._submit(request_id, ask)
            answer = Answer(request_id, self._model, len(ask.prompt), self._tokenizer)
            if ask.stream:
                parts = self._parts(sequence, answer, ask.usage_in_stream)
                return StreamingResponse(parts, media_type="text/event-stream", headers=headers)
            async for tokens in self._engine.stream(sequence):
                answer.add(tokens)
            answer.add([], is_last=True)
            return JSONResponse(answer.whole(sequence.finish_reason), headers=headers)
        except Refused as refused:
            return JSONResponse(refused.body(), refused.status, headers=headers)

    def _submit(self, request_id: str, ask: Ask) -> Sequence:
        if self._engine is None:  # needs the event loop that requests arrive on
            self._engine = Engine(self._decoder, self._settings)
        try:
            return self._engine.submit(request_id, ask.prompt, ask.sampling)
        except QueueFull as full:
            raise Refused(429, f"{full}; try again later", None, "rate_limit_exceeded") from None

    async def _parts(self, sequence: Sequence, answer: Answer, with_usage: bool) -> AsyncIterator[str]:
        async for tokens in self._engine.stream(sequence):
            yield event(answer.part(answer.add(tokens), None))
        yield event(answer.part(answer.add([], is_last=True), sequence.finish_reason))
        if with_usage:
            yield event(answer.last_part())
        yield event("[DONE]")

    async def check_health(self) -> None:
        """Serve replaces the replica where this raises: the loop must be alive."""
        if self._engine is not None and self._engine.loop.done():
            raise RuntimeError(f"the engine's loop has ended: {self._engine.loop}")


def _stay_on_loopback() -> None:
    """On a node of address 127.0.0.1 Serve's own server in the replica, bound right after this, need not listen on all
    interfaces. It asks for the token there too, but no port is the better lock; Serve 2.60 has no setting for it."""
    from ray.serve._private import replica
    from ray.util import get_node_ip_address

    if get_node_ip_address() == "127.0.0.1" and hasattr(replica, "add_port_to_grpc_server"):
        bind = replica.add_port_to_grpc_server
        replica.add_port_to_grpc_server = lambda server, _: bind(server, "127.0.0.1:0")
