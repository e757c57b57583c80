"""`python -m workers`: the same as `topup worker`."""

from workers.process import main

main()
