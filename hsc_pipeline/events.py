"""The kinds of events that befall a patient: what each does, and what its size means."""

KINDS = {
    "infection": "raises the cycling of stem cells; size 1 is the catalogue's effect",
    "chronic_inflammation": "as an infection, weaker and for longer",
    "rejection": "kills corrected cells; size: their share killed",
    "gvhd": "graft-versus-host disease kills host stem cells; size: their share killed",
    "chemotherapy": "kills stem cells of every kind; size: their share killed",
    "targeted_therapy": "kills all but corrected stem cells; size: their share killed",
    "boost": "a second infusion; size: share of the product kept back for it",
}
BY_CHANCE = ("infection", "chronic_inflammation", "rejection", "gvhd")
CYCLING = ("infection", "chronic_inflammation")
KILLING = ("rejection", "gvhd", "chemotherapy", "targeted_therapy")
