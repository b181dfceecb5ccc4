"""How much the poller costs, beside the least that could do the same.  Prints a table; asserts nothing."""
