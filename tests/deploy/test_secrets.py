import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.deploy.files import secrets_made_in


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_made_again_they_stay_as_they_are(made_secrets):
    before = contents(made_secrets)
    assert contents(secrets_made_in(made_secrets.parent)) == before


def test_a_secret_put_in_place_of_a_made_one_stays(tmp_path):
    folder = secrets_made_in(tmp_path / "deploy")
    token = folder / "topup_carrier_token"
    token.chmod(0o600)
    token.write_text("the carrier's own\n")
    (folder / "topup_pii_key").unlink()
    secrets_made_in(tmp_path / "deploy")
    assert token.read_text() == "the carrier's own\n"
    assert (folder / "topup_pii_key").exists()


def test_no_two_stacks_share_a_secret(made_secrets, tmp_path):
    other = secrets_made_in(tmp_path / "deploy")
    for name in (
        "topup_pii_key",
        "topup_codec_key",
        "ca_key",
        "signin_operators",
        "topup_database_password",
        "topup_wechat_private_key",
        "mosquitto_passwords",
    ):
        assert (other / name).read_text() != (made_secrets / name).read_text()


@pytest.mark.parametrize(
    ("name", "server", "client"),
    [("mosquitto", True, False), ("signin", True, False), ("worker", False, True), ("kafka", True, True)],
)
def test_a_certificate_is_for_what_its_holder_does(made_secrets, name, server, client):
    certificate = x509.load_pem_x509_certificate((made_secrets / f"{name}_certificate").read_bytes())
    uses = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert (ExtendedKeyUsageOID.SERVER_AUTH in uses, ExtendedKeyUsageOID.CLIENT_AUTH in uses) == (server, client)
    assert certificate.subject.rfc4514_string() == f"CN={name}"


def test_the_folder_is_its_owner_s_alone_and_containers_can_read_the_files(made_secrets):
    assert stat.S_IMODE(made_secrets.stat().st_mode) == 0o700
    for path in made_secrets.rglob("*"):
        if path.is_file() and path.name != "ca_key":
            assert stat.S_IMODE(path.stat().st_mode) == 0o444, path
    assert stat.S_IMODE((made_secrets / "ca_key").stat().st_mode) == 0o400
