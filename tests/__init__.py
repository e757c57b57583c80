"""Tests of the product. A package, so that `devkit.servers` means this folder and no other distribution's."""
