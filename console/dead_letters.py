"""`topup dlq …`: the records that could not become orders, and sending them again."""

import asyncio
import os
from typing import Annotated

import typer

app = typer.Typer(help="See dead letters and send them again.", no_args_is_help=True)
