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
        console.status("reading recorded traces")
    else:
        console.status("fetching, checking and converting it")
    folder = paths.model(name)
    fingerprint = fetch(name, source, folder, lambda text: console.print(f"fetch {name}: {text}"))
    if source.served_model_name is not None:
        console.finish(f"nothing to fetch; servers call it {source.served_model_name}")
    elif source.solver is not None:
        console.finish("nothing to fetch; stage generate computes its traces")
    else:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        console.finish(f"{size / 2**20:,.0f} MiB, fingerprint {fingerprint[:12]}")


if __name__ == "__main__":
    run(main)
