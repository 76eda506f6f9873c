Pretraining on several GPUs
===========================

For labs that pretrain their own network on more than one GPU: the commands, the three settings that depend on the number of
GPUs, and estimates of time and memory. :ref:`sphx_glr_auto_tutorials_plot_80_pretraining.py` shows pretraining on one
machine; start there.

Describe the run in a file; paths are relative to it::

    # run.toml
    corpus = "corpus"
    output_dir = "runs/base"
    total_steps = 100000
    save_every = 1000
    model.preset = "base"
    training.precision = "bf16"
    training.max_tokens_per_microbatch = 65536
    training.n_microbatches = 64
    training.n_workers = 4

Build the corpus (:doc:`corpus`) and copy it; install what training needs on every machine; start, here with eight GPUs.
``--resume`` continues a run that was stopped. ``BrainOFClassifier("runs/base")`` uses the newest checkpoint. ::

    brainof corpus build BIDS_FOLDER -o corpus
    pip install torch numpy safetensors tqdm
    pip install --no-deps .
    torchrun --nproc-per-node 8 -m brainof_toolbox.pretraining run.toml

* ``max_tokens_per_microbatch``: the largest value that fits into memory (table below; activations are proportional to it).
  ``checkpoint_activations = true`` stores less and computes activations twice.
* ``n_microbatches``: the size of a step, a multiple of the number of GPUs. With two to four per GPU, the time for sending
  gradients is small within a machine; between machines use four to sixteen.
* ``strategy``: ``"ddp"``, the default, keeps the whole network on each GPU: 16 bytes per parameter, 4 more with
  ``ema_decay``, 2 more in bf16. This fits up to ``huge`` on GPUs of 80 GB. ``"fsdp"`` keeps a part of everything on each GPU
  and sends layers when they are needed, which takes a fast connection.

.. admonition:: Several machines under SLURM
   :collapsible: closed

   ::

       sbatch --nodes=8 --gpus-per-node=8 --time=24:00:00 doc/slurm_pretrain.sbatch run.toml

   Set the account, the partition and the commands that load Python at the top of ``doc/slurm_pretrain.sbatch``. The
   environment, the corpus and the output must be readable from all machines under the same path. Ten minutes before the time
   limit, or when the job is preempted, the run saves, the job is queued again, and the next job resumes. Where machines have
   several networks, name the fast one: ``NCCL_SOCKET_IFNAME`` for gradients, ``GLOO_SOCKET_IFNAME`` for flags and
   checkpoints.

.. admonition:: Interruptions and failures
   :collapsible: closed

   * ``torchrun`` starts one process per GPU. After Ctrl-C or SIGTERM all processes finish their step and save. The launcher
     ends processes after 30 s: with a large network pass ``--shutdown-timeout 300``.
   * If one process raises, the others end too; the first error in the log is the cause.
   * A killed run resumes from the last complete checkpoint.
   * A loss that is not finite stops the run; the weights before it are saved, and the samples are named.
   * One, eight or 256 processes give the same run up to rounding, also when it is resumed with another number of processes or
     with the other strategy, because samples and masks depend on the seed, the step and the index of the micro-batch only.

Time and memory
---------------

.. scaling-begin

**The numbers are arithmetic, not measurements.** Made by::

    python -m benchmarks.scaling

.. admonition:: Methods
   :collapsible: closed

   Counted by torch 2.13.0: FLOP of forward and backward, and bytes kept for the backward pass in
   bf16. Assumed: samples of eeg 32 x 2560, meg 306 x 512, fmri 246 x 320 (channels x time points); 989 TFLOP/s (data sheet of an
   H100, dense bf16), of which 20 or 40 % are reached; 450 GB/s between GPUs of a
   machine, 50 GB/s between machines; micro-batches of 65,536 tokens. Memory is
   that of weights, gradients, AdamW, bf16 copies and activations. *Computing* is the time of a
   micro-batch at the highest share, *sending* that of the gradients of a step under DDP. Days are
   for 100 passes over the 5,870,984 samples of the published corpus
   :footcite:p:`guo2026brainof`; its number of passes is not published.

.. csv-table:: One GPU, one micro-batch
   :file: tables/pretraining_clusters_memory.csv
   :header-rows: 1

* :download:`Speed, and days of 100 passes <tables/pretraining_clusters_time.csv>`
* :download:`One sample, forward and backward <tables/pretraining_clusters_samples.csv>`

.. scaling-end

* ``base`` on 64 GPUs would read tens of GB per second, more than most file systems provide: eight GPUs and a local disk are
  enough. Small matrices do not fill a large GPU: expect a lower share of the peak for ``base`` than for ``huge``.
* With your own ``samples_per_second`` (``log.jsonl``): ``python -m benchmarks.scaling --measured base=2500 --networks base
  --out page.rst`` on a copy of this page.

.. footbibliography::
