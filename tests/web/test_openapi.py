"""No request that the OpenAPI document allows, and none near it, makes the server stumble (schemathesis)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from music_reclass.errors import NothingToDo
from music_reclass.web.access import Access
from music_reclass.web.app import application
from music_reclass.web.work import Work
from tests.web.conftest import TOKEN

REQUESTS = 8  # of each operation
HEADERS = {"authorization": f"Bearer {TOKEN}"}


def _refuse(*_: object, **__: object) -> None:
    raise NothingToDo("No job is run here.")  # what they do is tested elsewhere


def test_no_request_is_answered_by_a_failure_of_the_server(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="the package schemathesis is not installed")
    monkeypatch.setattr("music_reclass.web.jobs.subprocess.Popen", _refuse)
    app = application(work, Access(TOKEN, ["testserver"]))  # the name that schemathesis gives it
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=HEADERS)
    met = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith("/events"):  # a stream that ends with a job
            continue
        for mode in schemathesis.GenerationMode:

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=REQUESTS, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None,
                database=None,
            )  # fmt: skip
            def stays_upright(case: Any) -> None:
                answer = case.call(headers=HEADERS)
                assert answer.status_code < 500, (case.method, case.path, answer.status_code)

            with suppress(Unsatisfiable):  # there is no wrong value where there is no parameter
                stays_upright()
            met.add((operation.method, operation.path))
    assert len(met) > 20
