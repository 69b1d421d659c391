"""What pytest leaves out of the examples: tests/interop/test_serve.py runs the server."""

collect_ignore = ["conftest.py", "serve/app.py", "serve/forked.py"]
