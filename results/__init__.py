"""Results: `store` keeps records, `tables` and `report` show them, `launch` makes them. Start at `store.record`."""
