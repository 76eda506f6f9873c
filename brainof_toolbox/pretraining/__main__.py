"""``python -m brainof_toolbox.pretraining CONFIG``, also under torchrun."""

from .config_file import main

if __name__ == "__main__":
    main()
