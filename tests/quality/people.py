"""What people do at a site, for locust: each signs in, keeps a stream open and does something now and then.

`PEOPLE_FILE` names a JSON file with the site's addresses, their user names, password, the libraries' slugs
and ids, and words to look for. Started by `tests.quality.load`.
"""

from __future__ import annotations

import json
import os
import random
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant_pacing, task

ABOUT: dict[str, Any] = json.loads(Path(os.environ["PEOPLE_FILE"]).read_text())
_free = list(ABOUT["people"])


class Person(FastHttpUser):
    """One action every five seconds. The client that takes little: it shares the machine with the site."""

    wait_time = constant_pacing(5)

    def __init__(self, *given: Any) -> None:
        # The clients that locust makes read it.
        self.host = random.choice(ABOUT["addresses"])
        super().__init__(*given)

    def on_start(self) -> None:
        self.client.get("/sign-in", name="sign-in page")
        self._post("/sign-in", "sign in", username=_free.pop(), password=ABOUT["password"])
        self.library = random.choice(ABOUT["libraries"])
        self.page = ""
        gevent.sleep(random.random() * 5)
        gevent.spawn(self._hold)

    def _hold(self) -> None:
        """The library's stream, as an open page holds it; asked for again when it ends."""
        while True:
            path = f"/libraries/{self.library['slug']}/events"
            with self.client.get(path, name="library stream", stream=True, catch_response=True) as held:
                for _line in _lines(held):
                    pass
            gevent.sleep(3)

    def _headers(self) -> dict[str, str]:
        return {
            "X-CSRFToken": next(c.value or "" for c in self.client.cookiejar if c.name == "muniment-csrf"),
            "Referer": self.host or "",
            "Accept": "application/json",
        }

    def _post(self, path: str, name: str, **form: str) -> Any:
        headers = self._headers() | {"Accept": "text/html"}
        return self.client.post(path, data=form, headers=headers, name=name)

    @task(60)
    def look_through_a_library(self) -> None:
        path = f"/libraries/{self.library['slug']}/"
        found = re.findall(
            r'href="(/documents/[0-9a-f-]+/pages/\d+)', self.client.get(path, name="library").text
        )
        self.page = random.choice(found) if found else self.page

    @task(25)
    def choose_a_library(self) -> None:
        self.client.get("/documents/", name="libraries")

    @task(25)
    def read_a_page(self) -> None:
        if self.page:
            self.client.get(self.page, name="page of a document")
        else:
            self.look_through_a_library()

    @task(25)
    def look_at_old_conversations(self) -> None:
        self.client.get("/conversations/", name="conversations")

    @task(40)
    def search(self) -> None:
        words = " ".join(random.sample(ABOUT["words"], 3))
        with self.client.get("/search", params={"q": words}, name="search", catch_response=True) as found:
            if "could not be searched" in found.text:
                found.failure("the search gave up")

    @task(4)
    def upload(self) -> None:
        text = " ".join(random.choices(ABOUT["words"], k=300)).encode()
        announced = {"name": f"{uuid.uuid4()}.txt", "size": len(text), "library": self.library["id"]}
        headers = self._headers()
        begun = self.client.post("/uploads", json=announced, headers=headers, name="upload, announced")
        if begun.ok:
            part = {**headers, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
            self.client.patch(begun.json()["url"], data=text, headers=part, name="upload, sent")

    @task(1)
    def ask(self) -> None:
        question = f"What is said of {random.choice(ABOUT['words'])}?"
        asked = self._post("/ask", "ask", question=question)
        turn = re.findall(r"turn-([0-9a-f-]{36})", asked.text)
        if not turn:
            return
        path = f"/turns/{turn[-1]}/events"
        with self.client.get(path, name="answer's stream", stream=True, catch_response=True) as answer:
            for line in _lines(answer):
                if line == b"event: failed":
                    answer.failure("an answer failed")
                if line in {b"event: done", b"event: failed"}:
                    break


def _lines(response: Any) -> Iterator[bytes]:
    """Of a stream of events, as they come; the client's own lines end with a carriage return."""
    while line := response._response.readline(b"\n"):
        yield line.strip()
