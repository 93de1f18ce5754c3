"""PyAV, which only those need who read or write films."""

from typing import Any

from tfvae.errors import UserError


def pyav(what: str) -> Any:
    """The module `av`, silent: damage is reported once, by us. Raises `UserError` where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UserError(f"{what} needs PyAV: pip install 'tfvae[video]'.") from error
    av.logging.set_level(None)
    return av
