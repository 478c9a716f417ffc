"""How good a result is, without a reference: risk, tests of the residual."""
