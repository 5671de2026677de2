"""Work on hostile files: what comes of it, and what it may cost."""

import json
import pathlib
import resource
import time

SECONDS = 20  # of processor time
_ALLOWED = 256 * 2**20


def attempt(name, use, path, limited=True):
    """Uses a file within the memory that its size allows; prints what comes of it."""
    from lucid_rl.errors import LucidRLError

    n_pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    used = n_pages * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if limited:
        limit = used + _ALLOWED + 100 * path.stat().st_size
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    begin = time.process_time()
    try:
        use(path)
        result = "fine"
    except LucidRLError as error:
        result = f"{type(error).__name__}: {error}"
    except BaseException as error:
        result = f"NOT OURS {type(error).__name__}: {error}"
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    print(json.dumps([name, result, time.process_time() - begin]), flush=True)


def check(name, result, took):
    """Asserts that an attempt ended well, or in an error of the package's, and soon."""
    assert "NOT OURS" not in result, (name, result)
    assert took < SECONDS, (name, took)
    assert len(result) < 2000, name
