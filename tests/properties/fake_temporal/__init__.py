"""Temporal within one event loop: the SDK's own workflow runtime, fed by a server of a few pages.

The saga runs as it is, in `temporalio`'s workflow instance; this engine answers its commands as the server and the
SDK's core do: a workflow task stays open while a local activity runs, and what it did is lost with its worker; a
regular activity is retried by its policy, learns of no cancel, and may live on when nobody waits for it any more. What
it is to agree with is the real server, on which `real` plays the same plans. It uses internals of the SDK, which
`temporalio`'s version in the lock file keeps as they are.

| file | holds |
|---|---|
| `engine.py` | runs and workflow tasks; what a client can do |
| `attempts.py` | activities and timers |
| `instance.py` | the SDK's workflow instance |
| `runs.py` | a run, and what it waits for, as data |
"""
