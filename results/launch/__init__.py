"""How stored runs come to be: `plan` says which, `run` makes one, `execute` says where and when, `commands` parse."""
