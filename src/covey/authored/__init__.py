"""Functions written by a language model: from source text to a checked program made of data.

    contract = contract_of(environment, "agent")              what a function sees and gives
    admission = examine(answer, contract, views)              gates, in a cage; a report, and programs if they passed
    functions = admission.demand()                            two pure JAX functions, or one sentence

The text is parsed and traced once, in a locked-down child process (`cage`, `child`). What comes back is a program as
JSON (`program`), which is checked and interpreted here. The training process never runs a line of the text.
"""
