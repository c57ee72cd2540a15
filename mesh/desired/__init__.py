"""What an operator writes, its validation, and its compilation into the state's tree.

Pure like all of `mesh`: text and records come in, resources, problems and blobs come out. It is the
only part that uses pydantic, so only masters and `meshctl` import it.
"""
