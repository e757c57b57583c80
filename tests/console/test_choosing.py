"""What a command says of the orders that a search hits, before it acts on them."""

import pytest

from console import choosing


def test_a_dry_run_that_hits_no_order_asks_for_no_confirmation(capsys: pytest.CaptureFixture[str]):
    choice = choosing.checked(None, by_search=True, dry_run=True, confirmed=None)
    assert not choosing.confirm(choice, [], 0, "retry_now", as_json=False)
    said = capsys.readouterr()
    assert (said.out.strip(), said.err) == ("No such order.", "")
