from scripts.pin_images import FILES, pinned
from tests.deploy.files import ROOT

DIGEST = "sha256:" + "0123456789abcdef" * 4
NEWER = "sha256:" + "fedcba9876543210" * 4


def test_each_image_that_is_not_ours_gets_its_digest_and_keeps_its_tag():
    asked: list[str] = []

    def digest_of(image: str) -> str:
        asked.append(image)
        return DIGEST

    for name in FILES:
        text = (ROOT / name).read_text()
        once = pinned(text, digest_of)
        assert once.replace(f"@{DIGEST}", "") == text
        assert pinned(once, lambda _image: NEWER) == once.replace(DIGEST, NEWER)
    assert "postgres:17.6-bookworm" in asked
    assert any(image.startswith("python:3.13") for image in asked)
    assert not [image for image in asked if image.startswith("topup")]
