"""How fine-tuning went, as a picture."""

from __future__ import annotations


def plot_history(history, label, axes=None):
    """Draw training and validation loss by epoch."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    if axes is None:
        _, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    # Okabe and Ito's colours; markers tell them apart in grey.
    axes.plot(history["epoch"], history["train_loss"], "o-", color="#0072B2", label="training")
    watched = history["valid_loss"].dropna()
    if len(watched):
        axes.plot(
            history["epoch"], history["valid_loss"], "s--", color="#D55E00", label="validation"
        )
        best = history.loc[watched.idxmin()]
        axes.plot(best["epoch"], best["valid_loss"], "*", color="black", ms=12, label="best")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=label)
    axes.legend(frameon=False)
    return axes.figure
