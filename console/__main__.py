"""`python -m console` is `topup`."""

from console.main import main

if __name__ == "__main__":
    main()
