from pathlib import Path

import pytest

from tests.deploy.files import secrets_made_in


@pytest.fixture(scope="session")
def made_secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of secrets as `deploy/demo_secrets.py` makes it."""
    return secrets_made_in(tmp_path_factory.mktemp("deploy"))
