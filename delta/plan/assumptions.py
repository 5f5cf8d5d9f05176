"""What a plan assumes where nothing was measured here: every number with its reason.

They shape no result. The plan prints them all, so that its hours can be judged.
"""

from typing import NamedTuple


class Assumed(NamedTuple):
    value: float
    reason: str


REASONING_REPLY = Assumed(
    5_000, "tokens in a reply of a model that reasons: DeepSeek-R1's traces have 16,000 characters"
)
CHANNELS_REPLY = Assumed(
    1_200, "tokens in a guided reply after reasoning at medium effort: 800 and 400 of JSON"
)
PLAIN_REPLY = Assumed(500, "tokens in a reply of a model that does not reason")
PROBLEM_PROMPT = Assumed(200, "tokens in a problem's prompt")
RUBRIC_PROMPT = Assumed(700, "tokens in a judge's prompt besides the trace")
CHARACTERS = Assumed(4, "characters a token, on disk twice: in the store, and packed in tables")
DOUBTED = Assumed(0.3, "of the traces go to the model that compares answers")

# Shares of the card's peak. Small, because batches are bounded by memory, not by arithmetic.
DECODING = Assumed(0.08, "of the peak while writing: 5,000 tokens/s for 8B on one 989 TFLOP/s card")
READING = Assumed(0.4, "of the peak while reading prompts; samples of a prompt share it")
TRAINING = Assumed(0.225, "of the peak in training: the best published for 7B, packed, on an H100")
CPU_DECODING = Assumed(7.4e10, "FLOP/s of two cores writing: SmolLM2-135M at 275 tokens/s")
CPU_TRAINING = Assumed(5e10, "FLOP/s of two cores in training: 48 pairs of 300 tokens in 4 minutes")

ATTENTION = Assumed(1.05, "× 2 FLOP a parameter and token forward, 4 backward, 2 for recomputing")
OPTIMIZER = Assumed(12, "bytes a parameter in a checkpoint: fp32 weights, two moments of Adam")
ENGINE_GIB = Assumed(3, "GiB of a card for the engine besides weights and cache")
ACTIVATIONS = Assumed(0.25, "of a card left for activations in training")
HUB_BYTES = Assumed(2, "bytes a parameter on the hub, unless the table of known models says more")
COPIES = Assumed(3, "copies of fetched weights: hub cache, data/models, DVC's cache")

OF_CARDS = (DECODING, READING, TRAINING, ENGINE_GIB, ACTIVATIONS)
OF_CPUS = (CPU_DECODING, CPU_TRAINING)
