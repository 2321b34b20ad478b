"""What a person gets from help()."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import resumable
from resumable import testing


@pytest.mark.parametrize("call", [resumable.upload, resumable.export])
def test_help_names_every_argument_and_no_other(call: Callable[..., Any]) -> None:
    """A line of its own begins with each, in the order of the signature."""
    said = re.findall(r"^`(\w+)`", inspect.getdoc(call) or "", re.MULTILINE)
    assert list(inspect.signature(call).parameters) == said


@pytest.mark.parametrize("name", ["Record", "Claimant", "ClaimId", "Checkpoint", "Batch", "Reject", "Writer"])
def test_what_an_author_of_connectors_needs_is_exported(name: str) -> None:
    """From the package itself, with words of its own."""
    assert name in resumable.__all__
    assert inspect.getdoc(getattr(resumable, name))


def test_inconclusive_is_an_error_that_can_be_named() -> None:
    """Any test runner takes it for a failure."""
    assert issubclass(testing.Inconclusive, AssertionError)
    assert "Inconclusive" in testing.__all__


@pytest.mark.parametrize("contract", [testing.SinkContract, testing.SourceContract, testing.StoreContract])
def test_every_hook_of_a_contract_is_in_its_page(contract: type, request: pytest.FixtureRequest) -> None:
    """What an author may say of a part stands in the table of the page on it."""
    kind = contract.__name__.removesuffix("Contract").lower()
    page = (request.config.rootpath / "docs" / f"write-a-{kind}.md").read_text(encoding="utf-8")
    hooks = [name for name in dir(contract) if not name.startswith(("_", "test_"))]
    missing = [name for name in hooks if not re.search(rf"^\| `{name}\b", page, re.MULTILINE)]
    assert [] == missing
