"""Temporal's visibility with fewer indexes, and back: on a table of its shape, since the schema is Temporal's own."""

from pathlib import Path

import pytest

from devkit.servers.postgres import Postgres

SCRIPTS = Path(__file__).parents[2] / "deploy" / "temporal"
TABLE = """
CREATE TABLE executions_visibility (
    namespace_id char(64) NOT NULL, run_id char(64) NOT NULL, start_time timestamp NOT NULL, close_time timestamp,
    status int NOT NULL, execution_duration bigint, keyword01 varchar(255), keyword02 varchar(255), list01 jsonb,
    PRIMARY KEY (namespace_id, run_id)
);
CREATE INDEX default_idx ON executions_visibility (namespace_id, (COALESCE(close_time, '9999-12-31')) DESC, run_id);
CREATE INDEX by_status ON executions_visibility (namespace_id, status, start_time DESC);
CREATE INDEX by_execution_duration ON executions_visibility (namespace_id, execution_duration, start_time DESC);
CREATE INDEX by_keyword_01 ON executions_visibility (namespace_id, keyword01, start_time DESC);
CREATE INDEX by_keyword_02 ON executions_visibility (namespace_id, keyword02, start_time DESC);
CREATE INDEX by_keyword_list_01 ON executions_visibility USING btree (namespace_id, list01);
"""


def run(postgres: Postgres, url: str, script: str) -> None:
    text = (SCRIPTS / script).read_text()
    for part in text.split(";\n\n"):
        postgres.execute(part, url=url)


def indexes(postgres: Postgres, url: str) -> dict[str, str]:
    rows = postgres.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'executions_visibility'", url=url
    )
    return {row[0]: row[1] for row in rows}


@pytest.mark.real
def test_attributes_that_no_run_has_cost_nothing_and_all_comes_back(postgres: Postgres) -> None:
    url = postgres.create_database()
    for statement in TABLE.split(";\n"):
        if statement.strip():
            postgres.execute(statement, url=url)
    before = indexes(postgres, url)

    for _ in range(2):  # again does no harm
        run(postgres, url, "visibility-slim.sql")
        slim = indexes(postgres, url)
        assert slim.keys() == before.keys() - {"by_execution_duration"}
        partial = {name for name, definition in slim.items() if "WHERE" in definition}
        assert partial == {"by_keyword_01", "by_keyword_02", "by_keyword_list_01"}
        assert all(slim[name].startswith(before[name]) for name in slim)
    postgres.execute(
        "INSERT INTO executions_visibility (namespace_id, run_id, start_time, status, keyword01)"
        " SELECT 'n', n::text, now(), 1, CASE WHEN n % 100 = 0 THEN 'parked' END FROM generate_series(1, 5000) AS n",
        url=url,
    )
    postgres.execute("ANALYZE executions_visibility", url=url)
    plan = postgres.execute(
        "EXPLAIN SELECT * FROM executions_visibility WHERE namespace_id = 'n' AND keyword01 = 'parked'"
        " ORDER BY start_time DESC LIMIT 20",
        url=url,
    )
    assert any("by_keyword_01" in row[0] for row in plan), plan

    for _ in range(2):
        run(postgres, url, "visibility-restore.sql")
        assert indexes(postgres, url) == before
