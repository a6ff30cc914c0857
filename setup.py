"""Build the compiled walks where there is a compiler; all else is in pyproject.toml."""

from setuptools import Extension, setup

# Optional: without a compiler the package installs all the same, and its pure twins do the work.
setup(
    ext_modules=[
        Extension(
            "prefect_mutagen.parsers._walk",
            ["prefect_mutagen/parsers/_walk.pyx"],
            optional=True,
        )
    ]
)
