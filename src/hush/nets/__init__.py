"""Networks: torch modules only, each of which states its margin and its multiple."""
