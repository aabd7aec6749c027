"""What each warning of planning means, for the person who signs the plan."""

from collections.abc import Mapping
from typing import Final

WARNING_TEXTS: Final[Mapping[str, str]] = {
    "units_unknown_taken_as_mm": "An image states no unit: taken as millimetres.",
    "qform_and_sform_codes_differ": "qform and sform of an image agree in place but differ in their code.",
    "picked_qform": "qform and sform of an image differ: the qform was picked by hand.",
    "picked_sform": "qform and sform of an image differ: the sform was picked by hand.",
    "subject_is_template": "The T1 is a template or phantom, named so by hand: for simulation only.",
    "map_has_no_outline": "The map has no outline of a brain: that it belongs to this T1 is not proven, only its mask lies in the head.",
    "map_in_template_space": "The map is in a template's space: that it is this person's cannot be seen.",
    "transform_direction_unstated": "The transform's name does not say which way it maps: check the target on the T1.",
    "transform_unguarded": "No opposite transform was given: the way there was not checked against the way back.",
    "ambiguous_target": "The best cluster is less than 1.5 times as strong as the second.",
    "threshold_sensitive": "With 5 % or 20 % of the voxels kept the target moves by more than 8 mm, or vanishes.",
    "surface_space_unstated": "The scalp's file names no space: it was checked against the edge of the T1's head.",
    "fiducials_in_template_space": "The landmarks' file says template space: they are used as they stand.",
    "target_near_midline": "The target is less than 5 mm from the midplane.",
    "target_deep": "The target is more than 30 mm under the scalp: a figure-of-eight coil fades there.",
    "beam_misses_target": "The coil's axis misses the target by more than 3 mm: consider tilting it.",
    "intensity_limited": "The set point is limited: the wanted output is more than the stimulator or 120 % of the threshold allows.",
    "intensity_differs_from_protocol": "The intensity is not the protocol's.",
}
