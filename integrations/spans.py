"""From character spans to tokens: lays the mask that `pipeline export` writes over any tokenizer's tokens.

A span is a pair (start, end), half-open, in code points (what `str` indices count) of one answer's text. A token keeps
its loss if it shows at least one character inside a span. With the tokenizer that scored the answer this gives back the
stored mask, but for characters made of several tokens: those share one fate.

Needs nothing but Python 3.9; a tokenizer is only ever asked to decode or to encode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

Span = tuple[int, int]
Decode = Callable[[list[int]], str]

#: How decoders show bytes that are no whole character yet.
_UNFINISHED = "\ufffd"
#: How tokenizers write what they do not know.
_UNKNOWN = re.compile(r"<\|?unk\|?>|\[UNK\]", re.IGNORECASE)
_LEFT_CONTEXT = 4
#: A window that stays unfinished for longer holds real U+FFFD characters.
_LONGEST_WINDOW = 64


def overlaps(token: Span, spans: Iterable[Sequence[int]]) -> bool:
    """Whether the token shows a character of one of the spans."""
    start, end = token
    return any(start < span[1] and span[0] < end for span in spans)


def mask_from_offsets(offsets: Iterable[Span], spans: Sequence[Sequence[int]]) -> list[bool]:
    """True for each token that keeps its loss, given the tokens' places in the answer.

    `offsets` is what a fast tokenizer returns as `offset_mapping` for the answer alone.
    """
    return [overlaps(offset, spans) for offset in offsets]


def token_texts(ids: Sequence[int], decode: Decode, before: Sequence[int] = ()) -> list[str]:
    """The text that each id adds. A character made of several ids is on the last of them.

    `before` are ids that stand in front: some decoders drop a text's first space. Windows of a few ids are decoded, so
    the cost is linear.
    """
    context = list(before)[-_LEFT_CONTEXT:]
    all_ids = context + list(ids)
    texts: list[str] = []
    window_start, boundary = 0, len(context)
    known = len(decode(all_ids[:boundary])) if boundary else 0
    for end in range(boundary + 1, len(all_ids) + 1):
        text = decode(all_ids[window_start:end])
        is_last = end == len(all_ids) or end - window_start > _LONGEST_WINDOW
        finished = text if is_last else text.rstrip(_UNFINISHED)
        texts.append(finished[known:])
        known = max(known, len(finished))
        if len(finished) < len(text):
            continue
        window_start, boundary = boundary, end
        known = len(decode(all_ids[window_start:boundary]))
    return texts


def token_offsets(answer: str, texts: Sequence[str]) -> list[Span] | None:
    """Where each token stands in `answer`; None if the tokens show another text.

    White space around the answer may be missing from the tokens. Ids with no text of their own get the whole character
    that a later id completes; unknown ids get all that stands up to the next known one. Tokens behind the answer's end
    are not in the result.
    """
    end_of_text = len(answer.rstrip())
    offsets: list[Span] = []
    place = unfinished = unknown = 0
    # Space in front of an answer is dropped by some templates, added to by others: then no token shows it.
    shown = "".join(texts[: next((index + 1 for index, text in enumerate(texts) if text.strip()), len(texts))])
    other_space = _leading_space(shown) != _leading_space(answer)
    for text in texts:
        if place >= end_of_text and (text == "" or not answer.startswith(text, place)):
            break
        if _UNKNOWN.fullmatch(text.strip()) and not answer.startswith(text, place):
            unknown += 1
            continue
        if text == "":
            unfinished += 1
            continue
        if unknown:
            found = answer.find(text, place)
            stop = end_of_text if found < 0 else found
            offsets += [(place, stop)] * unknown
            place, unknown = stop, 0
            if found < 0:
                break
        if other_space:
            text = text.lstrip()
            if text == "":
                offsets.append((0, 0))
                continue
            place, other_space = len(answer) - len(answer.lstrip()), False
        if not answer.startswith(text, place):
            return None
        # No character of ASCII is ever split: there the ids without text are the space that a template puts in front.
        offsets += [(place, place + (not text[0].isascii()))] * unfinished
        unfinished = 0
        offsets.append((place, place + len(text)))
        place += len(text)
    return offsets + [(place, place)] * (unknown + unfinished)


def _leading_space(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def answer_mask(
    answer: str, spans: Sequence[Sequence[int]], ids: Sequence[int], decode: Decode, before: Sequence[int] = ()
) -> list[bool] | None:
    """True for each of `ids` that keeps its loss; None if they are not the tokens of `answer`.

    `ids` begin with the answer's first token and may run on behind its last (an end-of-turn mark, padding): the result
    is as long as the part that shows the answer. Works with slow tokenizers, which have no offsets.
    """
    offsets = token_offsets(answer, token_texts(ids, decode, before))
    return None if offsets is None else mask_from_offsets(offsets, spans)
