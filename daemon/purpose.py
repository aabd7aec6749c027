"""What pulses are given for. A word of its own, so that the hot process knows it without the rest of the policy."""

from enum import StrEnum


class Purpose(StrEnum):
    """Treatment, or single pulses to find the motor threshold: counted apart, armed apart, granted apart."""

    TREATMENT = "treatment"
    MT = "mt"
