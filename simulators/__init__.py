"""The outside world of topup as separate processes that speak the real wire.

A telecom carrier, WeChat Pay, Alipay and the cars, each with its own append-only book and faults that are ordered
over HTTP. Nothing here imports the product, and the product imports nothing from here. `python -m simulators --help`.
"""
