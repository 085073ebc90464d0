"""Does a GGUF file behave like the model it was made from? The checks that stand before every promotion.

The reference is the merged folder as Hugging Face runs it, its weights rounded to float16 like those in the file, so
that what is left between the two is arithmetic alone. That the merged folder equals base + adapter is a check of its
own (`prove_merge`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from core.backends.backend import Message
from core.backends.llamacpp import LlamaCppBackend
from core.errors import BackendError, ProofError
from core.release.proof_answers import MOST_PROMPTS, Answers, compare
from core.release.proof_bounds import BOUNDS, Bounds
from core.release.proof_check import ProofCheck
from core.release.proof_gates import end_of_turn, ties, vocabulary, whole_file
from core.release.proof_texts import chat_shapes, comparable, parity_texts
from core.release.reference import Reference

Progress = Callable[[int, int], None]
Prompt = Sequence[Message]


# Rounding the sum to float16 can tip a position at which the model is about to change its mind: 0.046 at one of 2,206
# measured, where the same merge in float32 stays under 1e-9. A wrong merge moves more than one position in two hundred.
MERGE_KL = 1e-2
MERGE_QUANTILE = 0.995


def prove(
    reference_dir: Path,
    gguf: Path,
    prompts: Sequence[Prompt],
    backend: LlamaCppBackend,
    *,
    kind: str,
    progress: Progress | None = None,
) -> list[ProofCheck]:
    """Compare a GGUF file with the merged model folder it was made from; proved when every check passed.

    A file that cannot be read gives the failed check alone. All prompts go through tokens and template; the first
    `MOST_PROMPTS` that leave room for an answer are also run. Raises ProofError where there is no such prompt or the
    kind has no bounds, ModelError where the reference cannot be loaded.
    """
    if kind not in BOUNDS:
        raise ProofError(f"There is no bound for files of kind {kind!r}.", hint=f"Known are: {', '.join(BOUNDS)}.")
    whole = whole_file(gguf)
    if not whole.passed:
        return [whole]
    model = str(gguf)
    try:
        special = backend.special_tokens(model)
    except BackendError as error:
        return [whole, ProofCheck("loads", False, 1, 0, error.message)]
    reference = Reference(reference_dir)
    checks = [whole, ProofCheck("loads", True, 0, 0, "llama.cpp opens the file")]
    checks += [ties(reference_dir, gguf), vocabulary(reference, reference_dir, gguf)]
    checks.append(_special_tokens(reference, backend, model, special))
    checks.append(end_of_turn(reference, backend.end_tokens(model)))
    checks.append(_token_parity(reference, backend, model, prompts))
    checks.append(_template_parity(reference, backend, model, prompts))
    if special["vocabulary"] != reference.vocabulary:
        return checks  # the distributions have different lengths, and "special tokens" says so
    answers = Answers(reference, backend, model, BOUNDS[kind].near_tie)
    answers.run(prompts, progress)
    return checks + answer_checks(answers, BOUNDS[kind])


def prove_merge(base_dir: Path, adapter_dir: Path, merged_dir: Path, prompts: Sequence[Prompt]) -> ProofCheck:
    """Is the merged float16 folder the same model as base + adapter in float32?

    The prompts may hold answers; every position of the rendered text is compared, but not what would follow its last
    token: after the end of an answer nothing is ever drawn, and no training shaped those scores.
    """
    import numpy as np

    trained, merged = Reference(base_dir, adapter_dir), Reference(merged_dir)
    sequences = []
    for prompt in prompts[:MOST_PROMPTS]:
        text = merged.render(prompt, add_generation_prompt=prompt[-1].role != "assistant")
        sequences.append(merged.encode(text)[: merged.context_length])
    sequences = [tokens for tokens in sequences if len(tokens) > 1]
    divergences: list[np.ndarray] = []
    same = 0
    for tokens, expected, found in zip(sequences, trained.sweep(sequences), merged.sweep(sequences), strict=True):
        compared = compare(tokens, expected.blocks(-1), found.rows)
        divergences.append(np.where(np.isfinite(compared.divergence), compared.divergence, np.inf))
        same += int((compared.expected == compared.found).sum())
    every = np.concatenate(divergences) if divergences else np.empty(0)
    if not len(every):
        raise ProofError("There is no prompt to compare the merged model on.", hint="Record some feedback first.")
    figure = float(np.quantile(every, MERGE_QUANTILE, method="higher"))
    return ProofCheck(
        "merged = adapter",
        figure <= MERGE_KL and bool(np.isfinite(every).all()),
        figure,
        MERGE_KL,
        f"KL divergence of {MERGE_QUANTILE:.1%} of {len(every)} positions, {every.max():.2g} at most; the same most "
        f"likely token at {same / len(every):.2%}",
    )


def _special_tokens(reference: Reference, backend: LlamaCppBackend, model: str, special: dict[str, int]) -> ProofCheck:
    tokenizer = reference.tokenizer
    wrong = [
        f"{name} is {special[name]}, not {expected}"
        for name, expected in (
            ("bos", tokenizer.bos_token_id),
            ("eos", tokenizer.eos_token_id),
            ("pad", tokenizer.pad_token_id),
            ("vocabulary", reference.vocabulary),
        )
        if expected is not None and special[name] != expected
    ]
    ends = backend.end_tokens(model)
    wrong += [f"token {end} does not end an answer" for end in reference.end_ids if end not in ends]
    text = comparable(["A text, encoded as a whole."], reference.tokenizer)[0]
    if backend.tokenize(model, text, add_special=True, parse_special=True) != reference.encode(text, add_special=True):
        wrong.append("plain encoding puts other tokens before or after a text")
    more = sorted(set(ends) - set(reference.end_ids))
    detail = "; ".join(wrong) or f"beginning, end and padding agree; answers end at {reference.end_ids}"
    if more:
        detail += f"; llama.cpp also ends at {more}"
    return ProofCheck("special tokens", not wrong, len(wrong), 0, detail)


def _token_parity(reference: Reference, backend: LlamaCppBackend, model: str, prompts: Sequence[Prompt]) -> ProofCheck:
    texts = parity_texts(reference.tokenizer.all_special_tokens)
    texts += [message.content for prompt in prompts for message in prompt]
    texts = comparable(texts, reference.tokenizer)
    texts += [reference.render(prompt) for prompt in prompts]
    differ = [
        text
        for text in texts
        if backend.tokenize(model, text, add_special=False, parse_special=True) != reference.encode(text)
    ]
    share = 1 - len(differ) / len(texts)
    detail = f"{len(texts) - len(differ)} of {len(texts)} texts give the same tokens"
    if differ:
        detail += f"; not {', '.join(ascii(text[:40]) for text in differ[:5])}"
    return ProofCheck("token parity", not differ, share, 1, detail)


def _template_parity(
    reference: Reference, backend: LlamaCppBackend, model: str, prompts: Sequence[Prompt]
) -> ProofCheck:
    import jinja2

    shapes: list[tuple[Prompt, bool]] = [*chat_shapes(), *((prompt, True) for prompt in prompts)]
    differ: list[str] = []
    for messages, follows in shapes:
        expected: str | None
        found: str | None
        try:
            expected = reference.render(messages, add_generation_prompt=follows)
        except jinja2.TemplateError:
            expected = None
        try:
            found = backend.render(model, messages, add_generation_prompt=follows)
        except BackendError:
            found = None
        if expected != found:
            differ.append(f"{'+'.join(message.role for message in messages)}: {(found or 'refused')[:60]!a}")
    share = 1 - len(differ) / len(shapes)
    detail = f"{len(shapes) - len(differ)} of {len(shapes)} conversations give the same prompt"
    if differ:
        detail += f"; not {'; '.join(differ[:3])}"
    return ProofCheck("chat template", not differ, share, 1, detail)


def answer_checks(answers: Answers, bounds: Bounds) -> list[ProofCheck]:
    """What all answers together are held to; the bound of the mean divergence grows with the length of the texts."""
    where = f"over {answers.positions} positions of {answers.count} prompts with their answers"
    top1, greedy, stops, mean = answers.top1, answers.greedy_share, answers.stop_share, bounds.mean(answers.growth)
    ties = f"; {answers.near_ties} near ties (the reference's gap is under {bounds.near_tie:g}) let pass"
    return [
        ProofCheck("logits: largest KL", answers.kl_max <= bounds.kl_max, answers.kl_max, bounds.kl_max, where),
        ProofCheck("logits: mean KL", answers.kl_mean <= mean, answers.kl_mean, mean, where),
        ProofCheck("logits: top-1 agreement", top1 >= bounds.top1, top1, bounds.top1, where),
        ProofCheck("greedy answers", greedy >= bounds.greedy, greedy, bounds.greedy, answers.greedy_detail + ties),
        ProofCheck("stops", stops >= bounds.stops, stops, bounds.stops, answers.stop_detail),
    ]
