"""What pulses are given for, and who times them. Words of their own, so that the hot process knows them without the rest of the policy."""

from enum import StrEnum


class Purpose(StrEnum):
    """Treatment, or single pulses to find the motor threshold: counted apart, armed apart, granted apart."""

    TREATMENT = "treatment"
    MT = "mt"


class Pacing(StrEnum):
    """Who times the bursts of a train: the device, or this host with one trigger for each."""

    TRAIN = "train"
    BURST = "burst"
