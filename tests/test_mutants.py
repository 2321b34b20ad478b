"""The list of mutants is in step with the source: each rule is where the mutant looks for it, and so is its test.

That each is caught is shown by `make mutants`, which runs them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants import MUTANTS, ROOT, SOURCE, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_a_mutant_applies_and_its_tests_exist(mutant: Mutant) -> None:
    """The text is found exactly once, what comes of it is Python, and the test file is there."""
    text = (SOURCE / mutant.file).read_text()
    compile(mutant.applied(text), mutant.file, "exec")
    assert (ROOT / mutant.test).is_file()


def test_there_are_enough_and_none_twice() -> None:
    """A name for each, and at least fifteen."""
    assert len({mutant.rule for mutant in MUTANTS}) == len(MUTANTS) >= 15
    assert {Path(mutant.test).name[:5] for mutant in MUTANTS} == {"test_"}
