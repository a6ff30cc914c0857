"""Build the compiled walks where there is a compiler; all else is in pyproject.toml."""

from setuptools import Extension, setup

# Optional: without a compiler the package installs all the same, and its pure twins do the work.
setup(
    ext_modules=[
        Extension(
            f"prefect_mutagen.parsers.{name}",
            [f"prefect_mutagen/parsers/{name}.pyx"],
            extra_compile_args=["-g0"],  # debugging symbols would be half of the wheel
            optional=True,
        )
        for name in ("_string_walk", "_tensor_member", "_tensor_columns")
    ]
)
