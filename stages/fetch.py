"""Fetch a model's weights, or traces recorded elsewhere, to data/models/NAME/."""

from delta.core import params, paths
from delta.core.console import Console, run
from delta.data.fetch import ModelParams, fetch


def main(console: Console, name: str) -> None:
    params.check_item(name, "models")
    source = params.load_section(f"models.{name}", ModelParams)
    if source.hub is not None:
        console.print(f"fetch {name}: from the hub or its cache; progress: logs/fetch-{name}.log")
    elif source.recording is not None:
        console.print(f"fetch {name}: reading recorded traces")
    elif source.served_model_name is not None:
        console.print(f"fetch {name}: nothing to fetch; servers call it {source.served_model_name}")
    else:
        console.print(f"fetch {name}: fetching, checking and converting it")
    fingerprint = fetch(
        name, source, paths.model(name), lambda text: console.print(f"fetch {name}: {text}")
    )
    console.print(f"fetch {name}: {fingerprint[:12]}")


if __name__ == "__main__":
    run(main)
