"""Networks of reactions: their parts, their faults, and how several become one."""
