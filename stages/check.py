"""Refuse a params.yaml that cannot work. Every stage's command begins with this."""

import sys

from delta.check import check
from delta.errors import InputError

if __name__ == "__main__":
    try:
        check()
    except InputError as error:
        sys.exit(str(error))
