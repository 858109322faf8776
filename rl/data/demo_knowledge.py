"""What an expert knows of the demo's parts: two sentences for each defect of each material, and for a normal part."""

DEMO_KNOWLEDGE = {
    "leather": {
        "good": "The soft grain of the leather is seen everywhere. Light changes slowly and nothing stands out.",
        "scratch": "A thin light line runs over the leather. It is straight or a little bent and cuts the soft grain.",
        "hole": "A round dark spot is in the leather. It has a sharp edge and no color of its own.",
        "stain": "A green patch lies on the leather. It is an oval, and the soft grain is seen in it.",
    },
    "metal": {
        "good": "The brushed lines of the metal run on from side to side. No place is lighter, darker or green.",
        "scratch": "A thin white line runs over the metal. It crosses the brushed lines and follows none of them.",
        "hole": "A round dark spot is in the metal. It is as wide as it is high and darker than any brushed line.",
        "stain": "A green oval lies on the metal. The brushed lines run on below it.",
    },
    "wood": {
        "good": "The grain of the wood runs on in even waves. From edge to edge it changes slowly.",
        "scratch": "A thin pale line runs over the wood. It is slanted and leaves the grain beside it as it is.",
        "hole": "A round dark disc is in the wood. It breaks the grain and is equally dark all over.",
        "stain": "A green blot lies on the wood. It is much wider than a line and lets the grain be seen.",
    },
    "fabric": {
        "good": "The weave of the fabric repeats without a break. Each thread is like the threads beside it.",
        "scratch": "A thin bright line runs over the fabric. It is slanted, and the threads along it are paler.",
        "hole": "A round dark opening is in the fabric. It ends at a sharp edge, and the weave is darker inside it.",
        "stain": "A green spot lies on the fabric. It is an oval, and the weave is seen in it.",
    },
}
"""By material and the name of the defect's folder."""
