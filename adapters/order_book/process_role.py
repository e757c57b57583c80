"""What PostgreSQL lets the processes' role do: read all, add to the trail, and change what is no trail; nothing else.

The owner migrates. So whoever takes over a process can neither change nor take out a line of the audit trail, nor drop
the trigger that refuses it, nor make tables.
"""

import re
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book.rows import EVENTS
from adapters.order_book.tables import SQLModel

APPEND_ONLY: Final = frozenset({EVENTS.name})
_VERSION: Final = "alembic_version"


def is_role(name: str) -> bool:
    """A name that PostgreSQL takes without quotes."""
    return re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name, re.ASCII) is not None


async def grant(connection: AsyncConnection, role: str) -> None:
    """Give `role` exactly that, and the public nothing. The connection is the owner's; idempotent.

    Raises:
        ValueError: the name can't be a role's.
    """
    if not is_role(role):
        raise ValueError("a role is named in lower-case letters, digits and _")
    for statement in _statements(role):
        await connection.execute(text(statement))


async def rights(connection: AsyncConnection) -> tuple[tuple[str, ...], bool]:
    """What this role lacks for the processes' work, as `RIGHT on TABLE`, and whether it could rewrite the trail."""
    wanted = [
        (table, right)
        for table in sorted(SQLModel.metadata.tables)
        for right in ("SELECT", "INSERT", *(() if table in APPEND_ONLY else ("UPDATE",)))
    ]
    beyond = [(table, right) for table in sorted(APPEND_ONLY) for right in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER")]
    ask = text("SELECT to_regclass(:name) IS NULL OR has_table_privilege(to_regclass(:name), :right)")

    async def may(table: str, right: str) -> bool:
        return bool((await connection.execute(ask, {"name": table, "right": right})).scalar_one())

    missing = [f"{right} on {table}" for table, right in wanted if not await may(table, right)]
    rewrites = [right for table, right in beyond if await may(table, right)]
    return tuple(missing), bool(rewrites)


def _statements(role: str) -> list[str]:
    tables = sorted(SQLModel.metadata.tables)
    changed = ", ".join(name for name in tables if name not in APPEND_ONLY)
    return [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {role}",
        f"REVOKE ALL ON SCHEMA public FROM PUBLIC, {role}",
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT SELECT, INSERT, UPDATE ON {changed} TO {role}",
        f"GRANT SELECT, INSERT ON {', '.join(sorted(APPEND_ONLY))} TO {role}",
        f"GRANT SELECT ON {_VERSION} TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    ]
