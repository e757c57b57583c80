"""The state diagram of docs/architecture.md is the one that `next_step` draws."""

import pytest

from scripts.draw_states import PAGE, diagram, page_with


@pytest.mark.slow
def test_the_diagram_of_the_page_is_what_the_rules_draw():
    assert PAGE.read_text("utf-8") == page_with(diagram()), "run: python -m scripts.draw_states"
