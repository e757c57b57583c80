"""`python -m bridge`."""

from bridge.process import main

if __name__ == "__main__":
    main()
