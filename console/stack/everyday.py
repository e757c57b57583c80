"""A running local stack: sample orders now and then, what happens to orders on the screen, fallen parts up again."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from console.demo.books import Entry
from console.demo.kafka_records import send
from console.demo.plan import Merchant, Plan, plan_sample
from console.demo.scenarios import LOAD, Scenario
from console.demo.screen import Screen
from console.exits import CommandFailed
from console.stack.local import LocalStack
from console.stack.supervisor import PartFailed
from console.stack.watching import lines
from console.stack.world import World

LOOK_SECONDS: Final = 0.5
MINUTE_SECONDS: Final = 60.0
UP_AGAIN_SECONDS: Final = 30.0
"""A part that ends twice within this is broken; starting it again would only hide it."""
