"""The commands of `meshctl`, one file for each thing that an operator does."""
