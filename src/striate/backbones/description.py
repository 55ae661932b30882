"""The description of a network that comes from a library: what `Spec` is for the networks of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from striate.errors import SpecError
from striate.schemas import Output

LIBRARIES = ("torchvision", "timm")
"""Where networks come from, in the order in which a name is looked up."""

Text = Annotated[str, Field(min_length=1)]


class Head(BaseModel):
    """The new last layers of a network.

    Attributes:
        base: what they stand on. `last`: the network's own last layer alone is replaced; `average`: all that
            follows the feature maps is, and each map is averaged; `flatten`: likewise, and all values of the
            maps enter.
        dropout: share of values set to zero before the last layer; 0: none.
        hidden: units of a layer with ReLU before the last; None: no such layer.
        output: `logits`, one for each class; or `logit`, one for two classes, which speaks of the second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Literal["last", "average", "flatten"] = "last"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    hidden: Annotated[int, Field(ge=1, le=65_536)] | None = None
    output: Literal["logits", "logit"] = "logits"

    def outputs(self, num_classes: int) -> int:
        """Return how many numbers come out for an image.

        Raises:
            SpecError: one logit for more than two classes.
        """
        if self.output == "logits":
            return num_classes
        if num_classes != 2:
            raise SpecError(
                f"one logit tells 2 classes apart, the data has {num_classes}; leave out --head-output logit."
            )
        return 1


class BackboneSpec(BaseModel):
    """A network of a library with a head of our own: enough to build it again without its library's weights.

    Attributes:
        library: `torchvision` or `timm`.
        name: the library's name of the network.
        version: of the library that it was built with.
        arguments: exactly those of the library's function that builds it.
        head: the last layers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    library: Literal["torchvision", "timm"]
    name: Text
    version: Text
    arguments: dict[str, JsonValue] = {}
    head: Head = Head()

    @property
    def output(self) -> Output:
        """What the network puts out."""
        return self.head.output

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the description that `to_dict` gave.

        Raises:
            SpecError: a field is missing, unknown or out of range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            found = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in found["loc"])
            raise SpecError(f"the description of a backbone is wrong: {field}: {found['msg']}.") from None
