"""One store per kind of storage, all with the contract of `prefect_mutagen.scanner.storage.Store`.

* ``local``: files, read with ``pread``; no loop, no pool, no library.
* ``s3``: s3fs, through its ``get_object`` call, which can be pinned.
* ``http``: web servers, through the session of fsspec's file system.
* ``generic``: anything else that fsspec knows.
"""
