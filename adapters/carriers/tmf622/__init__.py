"""The profile of TM Forum TMF622 Product Ordering v4 (contracts §4)."""
