from pathlib import Path

from configuration.table import configuration_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_readmes_configuration_table_is_the_settings_own():
    assert configuration_table() in README


def test_every_place_that_the_readme_names_is_there():
    rows = README.split("## Where is what")[1].split("## ")[0]
    names = [row.split("`")[1] for row in rows.splitlines() if row.startswith("| `")]

    assert len(names) > 8
    assert [name for name in names if not (ROOT / name).is_dir()] == []


def test_every_file_that_the_readme_links_is_there():
    links = [part.split(")")[0] for part in README.split("](")[1:]]

    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
