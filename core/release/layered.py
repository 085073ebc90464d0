"""Running a model one decoder layer at a time, all sequences through each, so that few weights are in memory at once.

The model's own code runs, masks, rotary angles, scalings and all: its body is called once for every sequence and layer,
and each time all layers but that one hand on what they are given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.release.skeleton import Parameters, clear, skeleton

if TYPE_CHECKING:
    import torch

SHARE_OF_FREE_MEMORY: Final = 0.5
BYTES: Final = 4  # of a float32
_HEAD_ITEMS: Final = 1 << 26  # values of the output layer in memory at once: 256 MB


class LayeredModel:
    """A model folder on the CPU in float32, with or without an adapter apart from it.

    memory: bytes that its weights may take (None: half of what is free). Where all fit they stay once they are read;
    else only one layer, or one piece of the output layer, is in memory at any time, and each sweep reads the folder
    anew. Without an adapter the weights are rounded to float16 first.
    """

    def __init__(self, folder: Path, adapter: Path | None = None, *, memory: int | None = None) -> None:
        self._parameters = Parameters(folder, rounded=adapter is None)
        self._keep = BYTES * self._parameters.count <= (_free_memory() if memory is None else memory)
        self._model = skeleton(folder, adapter)
        self._body = self._model.get_decoder()
        self._names = {id(module): name for name, module in self._model.named_modules()}
        self._turn = 0
        self._state: torch.Tensor | None = None
        for number, layer in enumerate(self._body.layers):
            layer.forward = self._gated(number, layer.forward)
        self._parameters.fill(self._body.norm, self._names[id(self._body.norm)])

    @property
    def kept(self) -> bool:
        """Whether the weights stay in memory."""
        return self._keep

    def states(self, sequences: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """What the output layer is given at each token, float32 [tokens, hidden size] a sequence; one sweep."""
        import torch

        with torch.inference_mode():
            states: list[torch.Tensor] = []
            with self._embedding(sequences) as numbered, self._present(self._body.layers[0]):
                for ids in numbered:
                    states.append(self._through(0, None, input_ids=torch.tensor([ids])))
            for turn, layer in enumerate(self._body.layers[1:], 1):
                with self._present(layer):
                    for at, state in enumerate(states):
                        states[at] = self._through(turn, state, inputs_embeds=state)
            return [state[0] for state in states]

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Scores of the next token, float32 [n, vocabulary], of [n, hidden size] out of `states`."""
        import torch

        head = self._model.get_output_embeddings()
        with torch.inference_mode():
            if self._keep or type(head) is not torch.nn.Linear or head.bias is not None:
                with self._present(head):
                    scores = head(states)
            else:
                scores = self._by_pieces(head, states)
            if cap := getattr(self._model.config, "final_logit_softcapping", None):
                scores.div_(cap).tanh_().mul_(cap)
        found: torch.Tensor = scores
        return found

    def _by_pieces(self, head: Any, states: torch.Tensor) -> torch.Tensor:
        import torch

        name = f"{self._names[id(head)]}.weight"
        scores = torch.empty(len(states), head.out_features)
        step = max(1, _HEAD_ITEMS // head.in_features)
        for start in range(0, head.out_features, step):
            weight = self._parameters.rows(name, start, start + step)
            scores[:, start : start + len(weight)] = states @ weight.t()
        return scores

    def _through(self, turn: int, state: torch.Tensor | None, **given: torch.Tensor) -> torch.Tensor:
        """One sequence through one layer, and through the last norm behind the last layer."""
        self._turn, self._state = turn, state
        ended: torch.Tensor = self._body(**given, use_cache=False).last_hidden_state
        found, self._state = self._state, None
        assert found is not None
        return ended if turn == len(self._body.layers) - 1 else found

    def _gated(self, number: int, layer: Callable[..., Any]) -> Callable[..., Any]:
        def forward(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            if number != self._turn:
                return hidden_states
            # What the body made of a state that it took for embeddings is not looked at: it may have scaled it.
            self._state = layer(hidden_states if self._state is None else self._state, *args, **kwargs)
            return self._state

        return forward

    @contextlib.contextmanager
    def _embedding(self, sequences: Sequence[Sequence[int]]) -> Iterator[list[list[int]]]:
        """The sequences, told in rows of the embedding as it stands inside: only the rows that occur are read."""
        import torch

        embedding = self._body.get_input_embeddings()
        if not isinstance(embedding, torch.nn.Embedding):  # an adapter on it looks tokens up as well
            with self._present(embedding):
                yield [list(sequence) for sequence in sequences]
            return
        if not embedding.weight.is_meta:  # the adapter brought its own
            yield [list(sequence) for sequence in sequences]
            return
        used = sorted({token for sequence in sequences for token in sequence})
        place = {token: at for at, token in enumerate(used)}
        empty, padding = embedding.weight, embedding.padding_idx
        values = self._parameters.picked(f"{self._names[id(embedding)]}.weight", used)
        embedding.weight, embedding.padding_idx = torch.nn.Parameter(values, requires_grad=False), None
        try:
            yield [[place[token] for token in sequence] for sequence in sequences]
        finally:
            embedding.weight, embedding.padding_idx = empty, padding

    @contextlib.contextmanager
    def _present(self, module: Any) -> Iterator[None]:
        filled = self._parameters.fill(module, self._names[id(module)])
        try:
            yield
        finally:
            if not self._keep:
                clear(filled)


def _free_memory() -> int:
    import psutil

    return int(SHARE_OF_FREE_MEMORY * psutil.virtual_memory().available)
