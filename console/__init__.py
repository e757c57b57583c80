"""The `topup` command: run processes, operate orders and dead letters, the local stack, the demo.

What is typed (names, options, help) and what it does stand apart, so that `topup --help` imports nothing heavy.

| `topup …` | what is typed | what it does |
|---|---|---|
| `worker` `bridge` `serve` `gateway` `codec-server` | `processes` | that package; `serving`, `codec_server` |
| `setup`, `doctor` | `processes` | `preparation`; `health` and `health_*` |
| `orders list`, `find`; `show` | `orders` | `listing`, `stranded`, `tables`; `showing` |
| `orders retry`, `resolve`, `refund`, `cancel`, … | `orders` | `choosing`, `acting` on each, `runs` |
| `orders reopen`, `retire-platform` | `orders` | `reopening`, `retiring` |
| `orders verify`, `erase-person` | `orders` | `verifying`, `erasing` |
| `orders goodwill` | `orders` | `goodwill` |
| `payments …` | `payments` | `unmatched`; several at once: `ending` |
| `dlq …` | `dead_letters` | `letters` |
| `hold …` | `hold` | `holding` |
| `reconcile …` | `reconcile` | `reconciling` |
| `keys …` | `keys` | there |
| `dev`, `demo` | `local_commands` | `devkit.demo.commands` |
"""
