"""`ccostdb top`: the ledger, looked at again and again, on a terminal. Reads only; waits for no writer."""
