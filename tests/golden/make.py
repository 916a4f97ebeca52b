"""Golden text: every preset x loss x {plain, weights, penalty, dropout}. To write the files again, and then read them:

    python tests/golden/make.py

Under each loss stands the plain derivation, and below it only the lines that an option changes.
"""

from pathlib import Path

import chainrule as cr
from chainrule.conventions import CONVENTIONS
from chainrule.losses import LOSSES

HERE = Path(__file__).parent
OPTIONS = ("plain", "weights", "penalty", "dropout")


def derivation(preset, loss, option):
    """The derivation of two layers, the second one that the loss usually follows."""
    end = LOSSES[loss].partner
    width = 3 if LOSSES[loss].targets == "distribution" else 2
    nobias = " nobias" if CONVENTIONS[preset].bias == "none" else ""
    dropout = " dropout=0.5" if option == "dropout" else ""
    penalty = "l1(0.2) + l2(0.1)/n" if option == "penalty" else None
    net = cr.Network(f"4 -> 5 tanh{dropout}{nobias} -> {width} {end}{nobias}", loss, penalty=penalty)
    return net.derive(convention=preset, sample_weight=option == "weights")


def lines(d):
    """Notes and equations, by name."""
    return {f"note {i}": f"note: {note}" for i, note in enumerate(d.notes)} | {e.name: str(e) for e in d.equations}


def golden(preset):
    """The text of one file."""
    out = [f"{preset}: {CONVENTIONS[preset]}"]
    for loss in LOSSES:
        plain = lines(derivation(preset, loss, "plain"))
        for option in OPTIONS:
            said = lines(derivation(preset, loss, option))
            shown = [said[name] for name in said if option == "plain" or said[name] != plain.get(name)]
            shown += [f"(no {name})" for name in plain if name not in said]
            out += ["", loss if option == "plain" else f"{loss}, {option}", *(f"  {line}" for line in shown)]
    return "\n".join(out) + "\n"


def path(preset):
    """Where it is."""
    return HERE / f"{preset}.txt"


if __name__ == "__main__":
    for preset in CONVENTIONS:
        path(preset).write_text(golden(preset), encoding="utf-8")
