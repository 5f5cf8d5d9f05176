"""Train a model on worked solutions and write it to data/models/NAME/."""

from functools import partial

from delta.core import fingerprint, params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import QUESTION
from delta.data.problems import QUESTION_COLUMNS
from delta.inference import chat_formats
from delta.inference.reply_cache import open_reply_cache
from delta.training import checkpoints, launch, sft_models
from delta.training.sft_models import SftModelParams


def main(console: Console, name: str) -> None:
    params.check_item(name, "sft_models")
    key = f"sft_models.{name}"
    settings = params.load_section(key, SftModelParams)
    chat_format = chat_formats.load(params.get(f"serving.{name}.chat_format"))
    base = paths.model(settings.base)
    base_fingerprint = fingerprint.read_fingerprint(base)
    questions = {
        benchmark: tables.read(paths.questions(benchmark), QUESTION, QUESTION_COLUMNS)
        for benchmark in params.get("benchmarks")
    }
    problems, counts = sft_models.training_problems(
        key, settings, params.get("problems.overlap_words"), questions
    )

    console.status(f"sft on {problems.height} solutions, about 20 s to the first step")
    # Importing torch takes seconds, so check the inputs first.
    from delta.training import model_io

    tokenizer = model_io.load_tokenizer(base)
    rows = sft_models.solution_rows(key, settings, chat_format, tokenizer, problems)
    train = settings.train_params()
    # The open cache is a lock: of two equal runs, only one writes checkpoints.
    run_key = launch.run_key(train, rows, [], base_fingerprint)
    with open_reply_cache("sft", run_key, console.print) as cache:
        folder = cache.folder / "run"
        for checkpoint in launch.prepare_run(folder, train, base, rows, []):
            console.print(f"sft {name}: {checkpoint.name} is damaged; resuming before it")
        histories = folder / "training.tsv", folder / "held_out.tsv"  # the counts have the losses
        checkpoint, result = launch.train(folder, *histories, console)
        complete = partial(fingerprint.write_fingerprint, source="sft")
        end_of_turn = chat_format.end_of_turn(tokenizer)
        model = paths.model(name)
        changes = model_io.save(train, base, checkpoint, model, end_of_turn, complete)
        counts |= result | changes | {"rows": len(rows), "machine": launch.machine(train)}
        write_counts(paths.counts("sft", name), counts, "sft")
        checkpoints.remove_run(folder)  # the model is complete, and DVC keeps it
    losses = f"loss {counts['first_loss']:.3g} to {counts['last_loss']:.3g}"
    dropped = sum(counts["dropped"].values())
    console.finish(
        f"{len(rows)} solutions, {dropped} problems dropped, {counts['steps']} steps, {losses}"
    )


if __name__ == "__main__":
    run(main)
