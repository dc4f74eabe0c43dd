"""Lightning Fabric, imported without torchmetrics, which it looks at for its version alone: a second of every start.

Nothing of Fabric that this project uses needs it (its `SpikeDetection` would).
"""

from __future__ import annotations

import sys

UNUSED = "torchmetrics"

_absent = UNUSED not in sys.modules
if _absent:
    sys.modules[UNUSED] = None  # type: ignore[assignment] # an import of it fails, which Fabric takes for "not there"
try:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
    from lightning_fabric.strategies import DDPStrategy
finally:
    if _absent:
        del sys.modules[UNUSED]

__all__ = ["ClusterEnvironment", "DDPStrategy", "Fabric", "LightningEnvironment"]
