"""The families that can be exported, by the model_type of their config.json."""

from . import gemma, idefics3, llava, llava_onevision, llava_qwen2, qwen2_vl

FAMILIES = {
    "llava": llava.FAMILY,
    "llava_onevision": llava_onevision.FAMILY,
    "llava_qwen2": llava_qwen2.FAMILY,
    "idefics3": idefics3.FAMILY,
    "smolvlm": idefics3.FAMILY,
    "qwen2_vl": qwen2_vl.FAMILY,
    "qwen2_5_vl": qwen2_vl.FAMILY,
    "paligemma": gemma.PALIGEMMA,
    "gemma3": gemma.GEMMA3,
}


def family_of(model_type):
    """The Family of `model_type`. Raises SystemExit with the supported types for any other."""
    if model_type not in FAMILIES:
        raise SystemExit(f"model_type {model_type!r} can't be exported; supported: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[model_type]
