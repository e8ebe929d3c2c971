"""Language models that another server on site has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import recorded_servers as recorded
from tests.engines.engine_process import long_text, says
from tests.engines.plain_server import plain_server
from tests.engines.recorded_servers import RecordedServer, Replies
from workers.engines import EngineUnavailable, Finished, PromptTooLong, Token
from workers.engines.engine import OpenAIEngine
from workers.engines.remote import RemoteEngine
from workers.engines.servers import Wanted

KEY = "of-the-plain-server"
CONTEXT = 1024
# Characters, about ten tokens.
SAME = 40


@pytest.fixture
def serve(engine: OpenAIEngine) -> Iterator[Callable[..., tuple[RecordedServer, RemoteEngine]]]:
    """A server that says what was recorded, and the engine that speaks to it."""
    made: list[RecordedServer] = []

    def start(replies: Replies, model: str = "", context: int = 0) -> tuple[RecordedServer, RemoteEngine]:
        made.append(RecordedServer(replies))
        return made[-1], RemoteEngine(Wanted(made[-1].url, "a-key", model, context), engine)

    yield start
    for server in made:
        server.close()


def answer(engine: RemoteEngine, text: str = "Hi", **more: object) -> tuple[str, Finished]:
    events = list(engine.chat(says(text), max_tokens=24, tenant="t", conversation="c", **more))  # type: ignore[arg-type]  # what is asked besides
    finished = events[-1]
    assert isinstance(finished, Finished)
    return "".join(event.text for event in events if isinstance(event, Token)), finished


SERVERS = {
    "vLLM": (recorded.VLLM, "meta-llama/Llama-4-Scout", 131072, True),
    "llama-server": (recorded.LLAMA_SERVER, "mistral-large-3.gguf", 16384, True),
    "LM Studio": (recorded.LM_STUDIO, "gemma-3-12b", 4096, False),
    "Ollama": (recorded.OLLAMA, "llama4:scout", 8192, False),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_is_recognised_and_says_what_it_serves(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]], kind: str
) -> None:
    replies, model, context, exact = SERVERS[kind]
    _server, engine = serve(replies)
    facts = engine.facts()
    assert (facts.build, facts.model, facts.context, facts.exact_counts) == (kind, model, context, exact)
    assert (facts.model_sha256, facts.embedder, facts.dimension) == ("", "mini", 384)


@pytest.mark.parametrize("kind", SERVERS)
def test_its_answer_streams_and_what_it_thinks_before_is_left_out(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]], kind: str
) -> None:
    server, engine = serve(SERVERS[kind][0])
    text, finished = answer(engine)
    assert text == "In May"
    assert (finished.reason, finished.prompt_tokens, finished.output_tokens) == ("stop", 21, 2)
    assert {headers["Authorization"] for _route, headers, _body in server.seen} == {"Bearer a-key"}
    assert "tenant" not in str(server.seen).lower()


def test_thoughts_that_the_server_sends_as_words_are_left_out(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]],
) -> None:
    said = [recorded.delta(content=text) for text in ("<thi", "nk>May?", "</think>\n\nIn", " May")]
    stream = recorded.sse(*said, recorded.delta("stop"), recorded.USAGE)
    _server, engine = serve({**recorded.PLAIN, "POST /v1/chat/completions": stream}, context=4096)
    assert answer(engine)[0] == "In May"


def test_tokens_are_counted_where_the_server_counts_them(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]],
) -> None:
    server, engine = serve(recorded.VLLM)
    assert (engine.tokenize(["one", "two"]), engine.prompt_tokens(says("Hi"))) == ([17, 17], 17)
    assert server.asked("POST /tokenize")["messages"] == says("Hi")
    server, engine = serve(recorded.LLAMA_SERVER)
    assert (engine.tokenize(["one"]), engine.prompt_tokens(says("Hi"))) == ([9], 9)
    assert server.asked("POST /tokenize")["content"] == "<s>[INST] Hi [/INST]"


def test_elsewhere_they_are_estimated_rather_too_many(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]], engine: OpenAIEngine
) -> None:
    _server, theirs = serve(recorded.OLLAMA)
    texts = [long_text(400), "Überprüfung der Dosierung", "東京の病院", "x = {'a': [1, 2]}"]
    assert all(e >= n for e, n in zip(theirs.tokenize(texts), engine.tokenize(texts), strict=True))
    assert theirs.prompt_tokens(says(texts[0])) >= engine.prompt_tokens(says(texts[0]))


def test_ollama_is_told_how_long_a_prompt_is_and_not_to_cut_it(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]],
) -> None:
    server, engine = serve(recorded.OLLAMA, context=32768)
    answer(engine)
    asked = server.asked("POST /api/chat")
    assert (asked["options"]["num_ctx"], asked["options"]["num_predict"]) == (32768, 24)
    assert (asked["truncate"], asked["shift"]) == (False, False)


@pytest.mark.parametrize("kind", ["LM Studio", "Ollama"])
def test_a_prompt_that_would_be_cut_is_not_sent(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]], kind: str
) -> None:
    server, engine = serve(SERVERS[kind][0])
    with pytest.raises(PromptTooLong):
        answer(engine, long_text(9000))
    assert not [route for route, _headers, _body in server.seen if route.endswith(("/chat", "/completions"))]


def test_a_grammar_goes_where_it_is_known(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]],
) -> None:
    server, engine = serve(recorded.LLAMA_SERVER)
    answer(engine, grammar='root ::= "1"')
    assert server.asked("POST /v1/chat/completions")["grammar"] == 'root ::= "1"'
    server, engine = serve(recorded.PLAIN, context=4096)
    answer(engine, grammar='root ::= "1"')
    assert "grammar" not in server.asked("POST /v1/chat/completions")


def test_an_administrator_names_the_model_and_less_context(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]],
) -> None:
    _server, engine = serve(recorded.VLLM, model="google/gemma-3-27b-it", context=8000)
    assert (engine.facts().model, engine.facts().context) == ("google/gemma-3-27b-it", 8000)


def test_a_model_that_the_server_has_not_is_named_with_those_that_it_has(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]],
) -> None:
    _server, engine = serve(recorded.OLLAMA, model="deepseek-r1")
    with pytest.raises(EngineUnavailable, match=r"no model 'deepseek-r1'. It has: llama4:scout, gemma3:4b"):
        engine.facts()


def test_who_does_not_tell_its_context_is_not_guessed_at(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]],
) -> None:
    _server, engine = serve(recorded.PLAIN)
    with pytest.raises(EngineUnavailable, match="MUNIMENT_MODEL_CONTEXT"):
        engine.facts()


@pytest.mark.parametrize(
    "stream",
    [
        recorded.sse(recorded.delta(content="In")).removesuffix("data: [DONE]\n\n"),
        'data: {"choices": [{"delta": {"content": "In"}}]}\n\ndata: {"error": {"message": "CUDA"}}\n\n',
        'data: {"choices": [{"delta": {"content": "In"}}]}\n\ndata: <html>\n\n',
    ],
    ids=["closed early", "an error within", "no JSON"],
)
def test_a_stream_that_breaks_off_is_no_answer(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]], stream: str
) -> None:
    replies = {**recorded.PLAIN, "POST /v1/chat/completions": stream}
    _server, engine = serve(replies, context=4096)
    events = engine.chat(says("Hi"), max_tokens=4, tenant="t", conversation="c")
    assert next(events) == Token("In")
    with pytest.raises(EngineUnavailable):
        next(events)


def test_ollamas_error_within_a_stream_is_no_answer(
    serve: Callable[..., tuple[RecordedServer, RemoteEngine]],
) -> None:
    replies = {**recorded.OLLAMA, "POST /api/chat": '{"error": "the model runner has stopped"}\n'}
    _server, engine = serve(replies)
    with pytest.raises(EngineUnavailable):
        answer(engine)


@pytest.fixture(scope="module")
def real(language_file: Path) -> Iterator[str]:
    with plain_server(language_file, CONTEXT, KEY) as url:
        yield url


def test_a_real_server_says_what_our_own_engine_says(real: str, engine: OpenAIEngine) -> None:
    theirs = RemoteEngine(Wanted(real, KEY, context=CONTEXT), engine)
    asked = says("Name a colour.")
    own = "".join(
        event.text
        for event in engine.chat(asked, max_tokens=24, tenant="t", conversation="c")
        if isinstance(event, Token)
    )
    text, finished = answer(theirs, "Name a colour.")
    # Later on a near tie may fall the other way: our engine has had other prompts in mind before.
    assert text[:SAME] == own[:SAME]
    assert finished.output_tokens > 1


def test_the_speed_of_a_real_server_is_measured(real: str, engine: OpenAIEngine) -> None:
    read, write = RemoteEngine(Wanted(real, KEY, context=CONTEXT), engine).speed_trial()
    assert read > 1
    assert write > 1


def test_a_wrong_key_is_named(real: str, engine: OpenAIEngine) -> None:
    with pytest.raises(EngineUnavailable, match="MUNIMENT_MODEL_KEY_FILE"):
        RemoteEngine(Wanted(real, "wrong", context=CONTEXT), engine).facts()


def test_a_server_that_is_not_there_is_named_as_away(engine: OpenAIEngine) -> None:
    with pytest.raises(EngineUnavailable, match="does not answer"):
        RemoteEngine(Wanted("http://127.0.0.1:9", context=CONTEXT), engine).facts()
