"""The tables of the stage: whose stem cells fill the marrow, clone by clone."""

import pyarrow as pa

from hsc_pipeline.tables import Column, Table

_PATIENT = Column(pa.int32(), "", "number of the virtual patient", 0)
_MONTH = Column(pa.float64(), "months", "after infusion", 0)
_ORIGIN = Column(pa.string(), "", "host, uncorrected or corrected")
_CLONE = Column(pa.int32(), "", "clone of the product, -1 for a cell that has no number there", -1)

MARROW = Table(
    "marrow",
    ("patient", "month"),
    {
        "patient": _PATIENT,
        "month": Column(pa.float64(), "months", "after infusion; 0: after homing", 0),
        "capacity": Column(
            pa.float64(),
            "cells",
            "stem cells of a full marrow at this age, less what inflammation wore out",
            1,
        ),
        "residual_host_fraction": Column(
            pa.float64(), "", "host stem cells that conditioning left; 1 where nobody was conditioned", 0, 1
        ),
        "host": Column(pa.int64(), "cells", "host stem cells", 0),
        "uncorrected": Column(pa.int64(), "cells", "infused stem cells that are not corrected", 0),
        "corrected": Column(pa.int64(), "cells", "infused stem cells that are corrected", 0),
        "live_clones": Column(pa.int64(), "clones", "corrected clones with at least one stem cell", 0),
        "copies_per_corrected": Column(
            pa.float64(), "copies/cell", "copies per corrected stem cell", 0, nullable=True
        ),
        "function_per_corrected": Column(
            pa.float64(), "of normal", "mean function of the corrected stem cells", 0, nullable=True
        ),
        "driver_cells": Column(pa.int64(), "cells", "stem cells of any origin that carry a driver", 0),
        "insertional_cells": Column(
            pa.int64(), "cells", "corrected stem cells in which an insertion deregulates an oncogene", 0
        ),
    },
)

CLONE_SIZES = Table(
    "clone_sizes",
    ("patient", "month", "clone"),
    {
        "patient": _PATIENT,
        "month": _MONTH,
        "clone": Column(pa.int32(), "", "clone of the product", 0),
        "cells": Column(pa.int64(), "cells", "its stem cells, those with an acquired driver included", 1),
    },
)

GRAFTS = Table(
    "grafts",
    ("patient",),
    {
        "patient": _PATIENT,
        "agent": Column(pa.string(), "", "what the patient was conditioned with; none if not infused"),
        "take_probability": Column(
            pa.float64(), "", "chance that an infused stem cell finds a free niche", 0, 1
        ),
        "took": Column(pa.int64(), "cells", "infused stem cells that took, boosts included", 0),
        "took_corrected": Column(pa.int64(), "cells", "those that are corrected", 0),
        "homed": Column(pa.int64(), "cells", "stem cells of the marrow after homing, the host's included", 0),
        "rescue_month": Column(
            pa.float64(), "months", "when the unmodified reserve was given; empty if never", 0, nullable=True
        ),
        "rescue_took": Column(pa.int64(), "cells", "stem cells of the reserve that took", 0),
    },
)

DRIVER_CLONES = Table(
    "driver_clones",
    ("patient", "month", "number"),
    {
        "patient": _PATIENT,
        "month": _MONTH,
        "number": Column(pa.int32(), "", "number of the driver clone within the patient's marrow", 0),
        "origin": _ORIGIN,
        "clone": _CLONE,
        "driver": Column(pa.int32(), "", "number in the table of drivers; -1 if acquired after infusion", -1),
        "arose_month": Column(
            pa.float64(), "months", "when it was acquired; empty if before infusion", 0, nullable=True
        ),
        "advantage_per_year": Column(pa.float64(), "1/year", "growth advantage"),
        "cells": Column(pa.int64(), "cells", "its stem cells", 1),
    },
)

TRANSFORMATIONS = Table(
    "transformations",
    ("patient", "number"),
    {
        "patient": _PATIENT,
        "number": Column(pa.int32(), "", "number of the transformation within the patient", 0),
        "month": _MONTH,
        "origin": Column(pa.string(), "", "host, uncorrected, corrected or thymic_progenitor"),
        "clone": _CLONE,
        "cause": Column(pa.string(), "", "insertion or driver, what made the clone prone to it"),
        "cells": Column(
            pa.int64(), "cells", "stem cells of the clone at the visit before; none in the thymus", 0
        ),
    },
)
