"""`python -m gateway`: the same as `topup gateway`."""

from gateway.process import main

main()
