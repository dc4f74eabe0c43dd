"""Data sets as readers: pictures with masks in the data set's own ids. Start at `reader`; `datasets` lists them."""
