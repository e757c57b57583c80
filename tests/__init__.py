"""Tests of the product. A package, so that `tests.parts` means this folder and no other distribution's."""
