"""
Your own training loop
======================

For your own loss, learning-rate schedule or network in torch:
:class:`~brainof_toolbox.estimators.BrainOFModule` is the network with a linear head as a module of
torch, with the arguments of braindecode's models. Its input are voltages, its output logits.
"""

# %%
# Simulated noise at 19 electrodes; in half of the epochs of 1 s, a rhythm of 10 Hz around C4.
# The first 40 epochs are training data, the other 24 test data.
import matplotlib.pyplot as plt
import numpy as np
import torch

from brainof_toolbox.datasets import make_info
from brainof_toolbox.estimators import BrainOFModule

rng = np.random.default_rng(0)
info = make_info("eeg", n_channels=19, sfreq=128.0)
data = 2e-5 * rng.standard_normal((64, 19, 128))  # (epochs, channels, time), V
label = rng.permutation(64) % 2
places = np.array([channel["loc"][:3] for channel in info["chs"]])
distance = np.linalg.norm(places - places[info["ch_names"].index("C4")], axis=1)
pattern = 2e-5 * np.exp(-0.5 * (distance / 0.04) ** 2)
data[label == 1] += pattern[:, None] * np.sin(2 * np.pi * 10 * np.arange(128) / 128)
x, y = torch.as_tensor(data, dtype=torch.float32), torch.as_tensor(label)
train, test = torch.arange(40), torch.arange(40, 64)

# %%
# The network uses the positions of channels: ``chs_info`` is MNE's list ``info["chs"]``.
# :meth:`~brainof_toolbox.estimators.BrainOFModule.standardise` standardises the input of the head
# by mean and standard deviation over the training epochs; without it, the initial loss is far
# above chance. The learning rate of the head is higher than that of the backbone.
module = BrainOFModule(n_outputs=2, chs_info=info["chs"], sfreq=info["sfreq"], pooling="flatten")
module.standardise(x[train])
backbone = [weight for weight in module.backbone.parameters() if weight.requires_grad]
optimizer = torch.optim.AdamW(
    [{"params": module.head.parameters(), "lr": 1e-2}, {"params": backbone, "lr": 3e-5}]
)
loss_of = torch.nn.CrossEntropyLoss()

# %%
# The loop: batches of 20 in random order, from a separate generator.
draw = torch.Generator().manual_seed(0)
history = []
for _ in range(4):
    module.train()
    losses = []
    for batch in train[torch.randperm(len(train), generator=draw)].split(20):
        optimizer.zero_grad()
        loss = loss_of(module(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    module.eval()
    with torch.no_grad():
        logits = module(x[test])
    accuracy = (logits.argmax(1) == y[test]).float().mean().item()
    history.append((np.mean(losses), loss_of(logits, y[test]).item(), accuracy))
    print("train loss {:.2f}, test loss {:.2f}, test accuracy {:.2f}".format(*history[-1]))

# %%
train_loss, test_loss, accuracy = np.transpose(history)
passes = np.arange(1, len(history) + 1)
_, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
axes[0].plot(passes, train_loss, "o-", color="#0072B2", label="training")
axes[0].plot(passes, test_loss, "s--", color="#D55E00", label="test")
axes[0].axhline(np.log(2), color="black", linestyle=":", label="chance")
axes[0].set(title="loss", xlabel="passes over the training epochs", ylabel="cross entropy (nats)")
axes[0].set_ylim(bottom=0)
axes[0].legend()
axes[1].plot(passes, accuracy, "s--", color="#D55E00", label="test")
axes[1].axhline(0.5, color="black", linestyle=":", label="chance")
axes[1].set(xlabel="passes over the training epochs", ylabel="accuracy", ylim=(0, 1.02))
axes[1].legend(loc="lower right")

# %%
# A few passes over forty epochs are enough, because the rhythm is linearly decodable from the
# frozen features. Effects that the features do not represent need much more training.
#
# The same with skorch, which makes it a scikit-learn estimator (not run here)::
#
#     from skorch import NeuralNetClassifier
#
#     net = NeuralNetClassifier(
#         BrainOFModule,
#         module__n_outputs=2,
#         module__chs_info=info["chs"],
#         module__sfreq=info["sfreq"],
#         criterion=torch.nn.CrossEntropyLoss,
#         optimizer=torch.optim.AdamW,
#         lr=3e-5,
#         max_epochs=4,
#         batch_size=20,
#     )
#     net.fit(x.numpy(), y.numpy())
#
# :doc:`/braindecode` describes the arguments, also those that braindecode's ``EEGClassifier``
# infers.
