"""A forward pass has no memory: threads and tasks that share adapters predict as one thread does, bit for bit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, adapted, inputs, randomise
from peft import PeftModel
from torch import Tensor, nn

from dcpc.tuner import PassRecord
from dcpc.tuner.forward_pass import current_pass

BERT = next(a for a in ARCHITECTURES if a.name == "BERT")
LLAMA = next(a for a in ARCHITECTURES if a.name == "Llama")
ROUNDS = 200
BARE = {"num_virtual_tokens": 0, "correction": False}
ANNOTATORS = {"annotators": ["a", "b", "c"]}
FORMS: dict[str, dict[str, Any]] = {
    "default": {**BARE, "bottleneck": 4, "readout": True, **ANNOTATORS},
    "bottleneck": {**BARE, "bottleneck": 4},
    "low-rank": {**BARE, "rank": 2, **ANNOTATORS},
    "prefix": {"correction": False, **ANNOTATORS},
    "paper": {"merge": "concat", "gate": False, "num_corrected_tokens": 3},
    "paper-gate": {"merge": "concat", "gate": True, **ANNOTATORS},
    "module-output": ANNOTATORS,
    "module-prefix": {**ANNOTATORS, "annotator_mode": "prefix"},
    "gated-low-rank": {"num_virtual_tokens": 0, "rank": 2, **ANNOTATORS, "annotator_mode": "prefix"},
    "gated-bottleneck": {"num_virtual_tokens": 0, "bottleneck": 4, "readout": True, **ANNOTATORS},
}


def form(name: str) -> PeftModel:
    return adapted(BERT, carrier_dropout=0.0, **FORMS[name])


def requests(model: PeftModel, count: int = 16) -> list[Callable[[], Tensor]]:
    """Calls with texts and annotators of their own, each of another length or batch size."""
    knows = bool(model.active_peft_config.annotators)
    calls = []
    for number in range(count):
        batch = inputs(BERT, rows=1 + number % 3, length=4 + number % 7, seed=number)
        if knows and number % 2:
            batch["annotator_ids"] = torch.arange(len(batch["input_ids"])) % 3
        calls.append(lambda batch=batch: logits(model, batch))
    return calls


def logits(model: nn.Module, batch: dict[str, Any]) -> Tensor:
    with torch.no_grad():
        return model(**batch).logits


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("threads", [2, 4, 8])
def test_threads_get_the_predictions_of_one_thread(name: str, threads: int) -> None:
    calls = requests(form(name))
    alone = [call() for call in calls]
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda number: calls[number % len(calls)](), range(ROUNDS)))
    wrong = [n for n, value in enumerate(found) if not torch.equal(value, alone[n % len(alone)])]
    assert wrong == []


@pytest.mark.parametrize("name", FORMS)
def test_tasks_get_the_predictions_of_one_task(name: str) -> None:
    calls = requests(form(name))
    alone = [call() for call in calls]

    async def served() -> list[Tensor]:
        async def one(number: int) -> Tensor:
            await asyncio.sleep(0)
            if number % 2:
                return calls[number % len(calls)]()
            return await asyncio.to_thread(calls[number % len(calls)])

        return await asyncio.gather(*(one(number) for number in range(ROUNDS)))

    found = asyncio.run(served())
    assert [n for n, value in enumerate(found) if not torch.equal(value, alone[n % len(alone)])] == []


def test_two_models_in_one_process_do_not_see_each_other() -> None:
    first, second = form("module-prefix"), form("default")
    randomise(second, seed=8)
    calls = [*requests(first), *requests(second)]
    alone = [call() for call in calls]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: calls[number % len(calls)](), range(ROUNDS)))
    assert all(torch.equal(value, alone[n % len(alone)]) for n, value in enumerate(found))


@pytest.mark.parametrize("inner_form", ["paper", "default"])
def test_a_call_inside_another_call_changes_neither(inner_form: str) -> None:
    outer, inner = form("module-output"), form(inner_form)
    batch, other = inputs(BERT, seed=1), inputs(BERT, rows=2, length=5, seed=2)
    expected, expected_inner = logits(outer, batch), logits(inner, other)
    found = []
    layer = outer.base_model.model.bert.encoder.layer[0]
    handle = layer.register_forward_hook(lambda *_: found.append(logits(inner, other)))
    assert torch.equal(logits(outer, batch), expected)
    handle.remove()
    assert torch.equal(found[0], expected_inner)


def test_generation_in_one_thread_while_others_read() -> None:
    model = adapted(LLAMA, generator=True, **ANNOTATORS, annotator_mode="prefix")
    prompts = [inputs(LLAMA, rows=2, length=5 + n, seed=n) for n in range(4)]

    def generated(number: int) -> Tensor:
        who = torch.tensor([number % 3, -1])
        return model.generate(**prompts[number % 4], annotator_ids=who, max_new_tokens=5, do_sample=False)

    def read(number: int) -> Tensor:
        return logits(model, prompts[number % 4])

    jobs = [(generated if number % 2 else read, number % 8) for number in range(64)]
    alone = [job(number) for job, number in jobs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: job[0](job[1]), jobs))
    assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


@pytest.mark.parametrize("name", ["default", "module-prefix"])
def test_trainings_in_threads_have_their_own_gradients(name: str) -> None:
    """Backward passes too: layers are recomputed in the pass that they belong to."""

    models = [form(name).train() for _ in range(12)]  # made in one thread: the random state is the process's
    for model in models:
        model.gradient_checkpointing_enable()

    def gradients(number: int) -> dict[str, Tensor]:
        model, seed = models[number], number % 4
        given = {"noise": torch.full((3, 4), 0.1 * seed)} if "module" in name else {}
        model(**inputs(BERT, seed=seed), labels=torch.tensor([0, 1, 2]), **given).loss.backward()
        return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    alone = [gradients(number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(gradients, range(4, 12)))
    for number, got in enumerate(found):
        for parameter, expected in alone[number % 4].items():
            torch.testing.assert_close(got[parameter], expected)


@pytest.mark.parametrize("name", FORMS)
def test_a_pass_that_fails_leaves_nothing_behind(name: str) -> None:
    model, batch = form(name), inputs(BERT)
    expected = logits(model, batch)
    with pytest.raises(IndexError):
        model(input_ids=torch.tensor([[10_000]]))
    assert current_pass() is None
    assert torch.equal(logits(model, batch), expected)


def test_a_record_belongs_to_its_own_call() -> None:
    model = form("module-output")
    first, second = PassRecord(), PassRecord()
    model(**inputs(BERT, seed=1), record=first)
    kept = first.styles.mean.clone()
    model(**inputs(BERT, seed=2), record=second)
    assert torch.equal(first.styles.mean, kept)
    assert not torch.equal(second.styles.mean, kept)
