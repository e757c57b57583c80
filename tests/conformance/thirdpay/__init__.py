"""A provider that nobody has: one folder, as docs/extending/add-a-provider.md says, to show that it is all it takes."""
