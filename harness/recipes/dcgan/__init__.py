"""The recipe of the first turn: a DCGAN, its tricks and how it is scored."""
