"""The lines that LLaVA's trainer needs to train only the tokens that a selection keeps.

`pipeline export OUT_DIR --to llava-json` writes LLaVA's JSON with two more keys in every answer. LLaVA ignores them, so
the file trains as it is, with the loss on all answer tokens. With this module it trains the active ones; README.md in
this folder shows the two lines that train.py needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.spans import answer_mask

IGNORE_INDEX = -100


def apply_loss_mask(input_ids: Any, labels: Any, conversations: Sequence[Mapping[str, Any]], tokenizer: Any) -> Any:
    """`labels` with -100 at every answer token that the conversation's `loss_mask` leaves out; a new tensor.

    `input_ids` and `labels` are one sample's, [sequence], as `preprocess` returns them: labels are -100 outside of the
    answers. `conversations` is the record's own list. Answers without a `loss_mask` keep their labels, and so does an
    answer that truncation cut: what is left of it is masked.

    Raises ValueError where the answers' tokens do not show the record's answers.
    """
    ids = [int(token) for token in input_ids]
    targets = [int(label) for label in labels]
    answers = [turn for turn in conversations if turn["from"] in ("gpt", "assistant")]
    runs = _supervised_runs(targets)
    if len(runs) > len(answers):
        raise ValueError(f"{len(runs)} supervised stretches of tokens, but {len(answers)} answers")

    def decode(tokens: list[int]) -> str:
        return tokenizer.decode(
            tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False, spaces_between_special_tokens=False
        )

    masked = labels.clone()
    for (start, stop), turn in zip(runs, answers):
        if "loss_mask" not in turn:
            continue
        before = [token for token in ids[max(0, start - 4) : start] if token >= 0]
        mask = answer_mask(turn["value"], turn["loss_mask"], ids[start:stop], decode, before)
        if mask is None:
            raise ValueError(f"the supervised tokens do not show the answer {turn['value'][:60]!r}")
        mask += [bool(turn.get("loss_end_of_turn", True))] * (stop - start - len(mask))
        for position, keeps_loss in zip(range(start, stop), mask):
            if not keeps_loss:
                masked[position] = IGNORE_INDEX
    return masked


def _supervised_runs(labels: Sequence[int]) -> list[tuple[int, int]]:
    """Half-open stretches of labels that are not -100: one for each answer."""
    runs: list[tuple[int, int]] = []
    for position, label in enumerate(labels):
        if label == IGNORE_INDEX:
            continue
        if runs and runs[-1][1] == position:
            runs[-1] = (runs[-1][0], position + 1)
        else:
            runs.append((position, position + 1))
    return runs
