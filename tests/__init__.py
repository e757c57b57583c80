"""Tests of the product. A package, so that `tests` means this folder and no other distribution's."""
