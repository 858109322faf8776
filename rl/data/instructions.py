"""The words that ask for the form of an answer, by task: a system message and a text below the question."""

from dataclasses import dataclass

from rl.types import Task


@dataclass(frozen=True, kw_only=True)
class Words:
    """Words around a question."""

    system: str
    """Text of the system message."""
    below: str
    """Text on the line after the question."""


INSPECTOR = (
    "You are a professional industrial image inspector, particularly skilled at identifying abnormal (defective) areas "
    "in images."
)
# Table 2 of MMR-AD, without the hints that only its teacher gets.
MMR_AD = Words(
    system=INSPECTOR,
    below=(
        "- The first image is a normal sample, and you need to carefully inspect and analyze these two images to "
        "determine if there are any anomalies (defects) in the second image.\n"
        "- If there are anomalies, return their locations in the form of coordinates.\n"
        "- You first need to think about the reasoning and analysis process in the mind and then provide us with the "
        "answer.\n"
        "- You should output the coordinate location(s) of the abnormal area(s) in the reasoning process.\n"
        "Output Format (strictly follow)\n"
        "The reasoning process and answer are enclosed within <think></think> and <answer></answer> tags, i.e., "
        "<think>reasoning and analysis process here</think><answer>Yes or No. If Yes, continue to output all "
        "locations, the format should be like {'bbox_2d': [x1, y1, x2, y2], 'label': '<anomaly type>'}</answer>."
    ),
)
# Section 3.4 of AnomalyR1, with its line breaks and a split word repaired.
ANOMALY_R1 = Words(
    system=(
        "A conversation between User and Assistant. The user asks a choice question and the Assistant solves it. The "
        "assistant first think about the reasoning process in the mind and then provides the user with the answer."
    ),
    below=(
        "Respond with your reasoning in <think></think> tags followed by a single letter answer in <answer></answer> "
        "tags."
    ),
)
# DCR²-AD shows the content of its answers but no prompt: the words are ours.
DCR2_AD = Words(
    system=(
        f"{INSPECTOR} The user asks a choice question about an image and offers pieces of expert knowledge, each with "
        "its name. One of them fits the image; the others mislead."
    ),
    below=(
        "- First choose the piece of knowledge that fits the image: write its name and why it fits within "
        "<knowledge></knowledge> tags.\n"
        "- Then reason by this knowledge about what you see within <think></think> tags.\n"
        "- Finally give a single letter answer in <answer></answer> tags."
    ),
)
# JUDO prints the form of its answers but no prompt: the words around the form are ours.
JUDO = Words(
    system=ANOMALY_R1.system,
    below=(
        "The first image is a normal sample of the same object. A 16x16 grid lies over the second image, its rows and "
        "columns counted from 0.\n"
        "- First write the anomalous patches within <seg></seg> tags: (row, column) for individual patches and "
        "(row, col_start)-(row, col_end) for contiguous horizontal patches, e.g. <seg>(11,12)-(11,14), (12,11)</seg>; "
        "<seg></seg> if there are none.\n"
        "- Then compare the second image with the normal sample and describe the visual evidence within "
        "<think></think> tags.\n"
        "- Finally give a single letter answer within <answer></answer> tags."
    ),
)
# CGRO prints its question and says only that the system message asks for reasoning first: the words are ours.
CGRO = Words(
    system=INSPECTOR,
    below=(
        "First describe what you see and reason about it within <think></think> tags, then answer Yes or No within "
        "<answer></answer> tags."
    ),
)
# AnomalyR1's grounding stage follows VLM-R1; these are VLM-R1's words, except for the question.
VLM_R1 = Words(
    system=ANOMALY_R1.system.replace("a choice question", "a question"),
    below=(
        "First output the thinking process in <think> </think> tags and then output the final answer in <answer> "
        "</answer> tags. Output the final answer in JSON format, i.e., <think>thinking process here</think>"
        '<answer>[{"bbox_2d": [x1, y1, x2, y2], "label": "<defect type>"}]</answer>.'
    ),
)
WORDS = {
    Task.yes_no: CGRO,
    Task.boxes: MMR_AD,
    Task.choice: ANOMALY_R1,
    Task.routed: DCR2_AD,
    Task.grid: JUDO,
    Task.grounding: VLM_R1,
}
