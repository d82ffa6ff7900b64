"""The OpenAPI document: checked in, whole, and true under whatever schemathesis makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema

from fx_assets.settings import Settings, project_root
from serving.factory import create_app
from serving.problems import MEDIA_TYPE
from tests.support.running_api import Api, running
from tests.support.tiny_lake import TinyLake

CHECKED_IN = project_root() / "docs" / "openapi.json"
_EXAMPLES = 40


def test_the_checked_in_document_is_that_of_the_shipped_configs(tmp_path: Any) -> None:
    app = create_app(Settings(home=tmp_path / "var", configs=project_root() / "configs", live=False))
    made = json.loads(json.dumps(app.openapi()))
    assert made == json.loads(CHECKED_IN.read_text()), "run .venv/bin/python -m serving.openapi > docs/openapi.json"


def test_every_route_says_what_it_answers_and_what_may_go_wrong(shared_client: Api) -> None:
    document = shared_client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["tags"], where
            assert "content" in operation["responses"]["200"], where
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == [MEDIA_TYPE], f"{where} {status}"
    assert "HTTPValidationError" not in json.dumps(document)


@pytest.fixture(scope="module")
def described(built: TinyLake) -> Iterator[BaseSchema]:
    """The schema of a running API."""
    with running(built) as client:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{client.port}/openapi.json")


def hold(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
    """Ask one operation many things, and hold each answer against what the document says of it."""
    # That a close may not leap to a hundred times the one before is beyond JSON Schema.
    beyond = [positive_data_acceptance] if operation.path.endswith("/predict") else []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def holds(case: Case[Any]) -> None:
        case.call_and_validate(timeout=30, excluded_checks=beyond)

    try:
        holds()
    except Unsatisfiable:  # nothing can be wrong with a request that takes nothing
        assert mode is GenerationMode.NEGATIVE, operation.label


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_whatever_is_asked_is_answered_as_described(described: BaseSchema, mode: GenerationMode) -> None:
    # The stream has no end: tests/serving/test_stream.py holds it.
    found = described.exclude(path="/v1/forecasts/stream").get_all_operations()
    operations = [item.ok() for item in found if isinstance(item, Ok)]
    assert len({operation.path for operation in operations}) > 10
    for operation in operations:
        hold(operation, mode)
