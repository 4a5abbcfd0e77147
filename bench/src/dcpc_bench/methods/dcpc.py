"""DCPC itself: its presets, and its ablations."""

from __future__ import annotations

from typing import Any

from dcpc_bench.method import Method, RuleOf, Setting, grid


def _form(
    name: str,
    what: str,
    *,
    adapter: Setting | None = None,
    rule: RuleOf | None = None,
    searched: bool = True,
    reads: bool = False,
    **training: Any,
) -> Method:
    """A form of DCPC; ablations (`dcpc-no-…`, `dcpc-with-…`, `dcpc-paper-no-…`) have the setting of the whole."""
    whole = "dcpc" if name.startswith(("dcpc-no-", "dcpc-with-")) else None
    if name.startswith("dcpc-paper-no-"):
        whole = "dcpc-paper"
    return Method(
        name,
        "this project",
        what,
        carrier="dcpc",
        rule=rule,
        grid=grid() if searched else {},
        training=training,
        adapter=adapter or {},
        needs_reader=reads,
        searched_as=whole,
    )


def _given(name: str, what: str, **objective: float) -> Method:
    return _form(f"dcpc-with-{name}", f"with {what}, which is not in `default`", objective=objective)


def _paper_without(name: str, what: str, adapter: Setting | None = None, **objective: float) -> Method:
    training: dict[str, Any] = {"preset": "paper", "objective": objective}
    return _form(f"dcpc-paper-no-{name}", f"`paper` without {what}", adapter=adapter, **training)


def _demonstrated(name: str, what: str, adapter: Setting | None = None, **training: Any) -> Method:
    """A prefix that starts from demonstrations; its rate was chosen on validation judgements of SST-2-P."""
    return _form(
        name, what, adapter=adapter, searched=False, reads=True, **{**FROM_DEMONSTRATIONS, **training}
    )


def _counted(*, adapter: float, readout: float) -> RuleOf:
    """The objective, with fixed shares of readout and adapter in every prediction."""

    def rule(*_: Any) -> Any:
        from dcpc.objective import ObjectiveConfig
        from dcpc.training.dcpc_rule import DCPCRule
        from dcpc.tuner.readout import Shares

        return DCPCRule(ObjectiveConfig.preset("default"), shares=Shares(adapter, readout))

    return rule


FROM_DEMONSTRATIONS = {"demonstrations": 12, "learning_rate": 1e-3}
"""A prefix that starts as in-context learning wants a tenth of the rate of a random one."""

FORMS = {
    method.name: method
    for method in (
        _form("dcpc", "the preset `default`"),
        _form("dcpc-paper", "the equations as written", preset="paper"),
        _paper_without(
            "pcm",
            "the correction module (eq. 10-12), and so without alignment and L_KL, which are about it",
            adapter={"correction": False},
            alignment_weight=0.0,
            preference_weight=0.0,
        ),
        _paper_without("alignment", "cross-layer alignment (eq. 7-9)", alignment_weight=0.0),
        _paper_without("ambiguity", "L_amb (eq. 3-6)", ambiguity_weight=0.0),
        _demonstrated(
            "dcpc-demonstrations",
            "`paper` with a prefix that starts from 12 demonstrations; alignment as a mean of squares, since their "
            "sum swamps the rest on a causal model",
            preset="paper",
            objective={"normalise_alignment": True},
        ),
        _demonstrated(
            "dcpc-demonstrations-no-pcm",
            "the same without the correction module, and so without alignment and L_KL, which are about it",
            adapter={"correction": False},
            preset="paper",
            objective={"alignment_weight": 0.0, "preference_weight": 0.0},
        ),
        _form(
            "dcpc-no-demonstrations",
            "without the demonstrations that a causal model has in front of its texts",
            demonstrations=0,
        ),
        _demonstrated(
            "dcpc-demonstrations-all",
            "`default`, where the prefix of demonstrations trains too",
            adapter={"bottleneck": 12, "train_prefix": True},
        ),
        _demonstrated(
            "dcpc-demonstrations-untrained",
            "the start of all of these, in-context learning: one step of no length",
            adapter={"annotators": None},
            learning_rate=1e-12,
            max_steps=1,
        ),
        _form("dcpc-low-rank", "the default on the low-rank carrier", adapter={"bottleneck": 0, "rank": 3}),
        _form(
            "dcpc-readout",
            "the readout and the annotators' effects alone, fitted before any training",
            adapter={"bottleneck": 1},
            rule=_counted(adapter=0.0, readout=1.0),
            searched=False,
            max_steps=1,  # there is nothing to train
        ),
        _form("dcpc-no-annotators", "without annotators", adapter={"annotators": None}),
        _form(
            "dcpc-no-readout",
            "the adapter alone; annotators start from the regression of the readout as ever",
            rule=_counted(adapter=1.0, readout=0.0),
        ),
        _form(
            "dcpc-with-pcm",
            "with the preference correction module (eq. 10-12), which is not in `default`",
            adapter={"correction": True},
        ),
        _given("ambiguity", "L_amb (eq. 3-6)", ambiguity_weight=0.1),
        _given("alignment", "alignment (eq. 7-9) and the module that it is about", alignment_weight=0.01),
        _given("style-kl", "L_KL (eq. 12) and the module that it is about", preference_weight=0.01),
        _given("target-correction", "target correction", target_correction=0.5),
        _given("two-passes", "a readout of the frozen model, in a second pass", one_pass=False),
        _given("average", "averaged weights", ema_decay=0.98),
    )
}
"""By name."""
