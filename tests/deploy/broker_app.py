"""The workers' Celery application with one more task, which answers as the workers do."""

from __future__ import annotations

from uuid import UUID

from workers.app import app


@app.task(name="test.echo")  # type: ignore[untyped-decorator]  # Celery has no types
def echo(key: str, question: str) -> None:
    from muniment.jobs import replies, streams  # only once Django is set up

    nobody = UUID(int=0)
    streams.append(streams.turn_key(nobody, nobody), "said", {"text": question})
    replies.reply(key, {"answer": question})
