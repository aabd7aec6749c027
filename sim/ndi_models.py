"""The cameras of the family that are simulated: what each says of itself, and what it can do."""

import msgspec

LOWEST_HZ, HIGHEST_HZ = 20, 400

# By this tag ndicapi's Python wrapper chooses TX, which it reads with any number of tools; its way to BX breaks at three.
VEGA_TAG = "Polaris Vega 008"
SPECTRA_TAG = "Polaris Spectra Rev 007"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """`illuminated`: the older units, whose rate is one of three, set by the illuminators' rate and 20 Hz at power-up."""

    title: str
    interface: str  # APIREV
    firmware: str
    freeze_tag: str
    rate_hz: int
    illuminated: bool = False
    streams: bool = False  # knows BX2 and STREAM


MODELS = {
    "vega": Model(title="Polaris Vega", interface="G.003.005", firmware="008.000.000", freeze_tag=VEGA_TAG, rate_hz=60, streams=True),
    "spectra": Model(
        title="Polaris Spectra", interface="G.001.005", firmware="007.000.012", freeze_tag=SPECTRA_TAG, rate_hz=20, illuminated=True
    ),
    "vicra": Model(title="Polaris Vicra", interface="G.001.005", firmware="007.000.012", freeze_tag=VEGA_TAG, rate_hz=20, illuminated=True),
}
VEGA = MODELS["vega"]
ILLUMINATED_HZ = (20, 30, 60)  # by Illuminator Rate 0, 1, 2
