"""How stored runs come to be: the plan of a grid, one job, and who executes the jobs."""
