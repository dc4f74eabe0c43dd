"""Tables from stored records alone. Start at `tables`; `aggregate` makes the means, `table` prints."""
