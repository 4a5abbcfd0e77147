"""Writing: instructions whose answers come from writers of different style.

read_replies      replies.py, chats.py     a table -> prompts, replies, writers
PromptFormat      prompts.py               a chat -> tokens, in the chat template
train_writers     fit.py, training.py      replies -> an adapter; writers act through styles (start.py)
write_replies     generation.py            prompts, writers -> replies
evaluate_writing  evaluation.py            an adapter, held-out replies -> likelihoods, chrF, ROUGE, style
Judge             judge.py                 two replies -> which is better, asked of a model behind an endpoint
"""

from dcpc.tasks.write.adapter import WritingAdapter, load_writing_adapter
from dcpc.tasks.write.evaluation import WritingScores, evaluate_writing
from dcpc.tasks.write.fit import hold_out_replies, train_writers
from dcpc.tasks.write.generation import Generation, write_replies
from dcpc.tasks.write.replies import Replies, read_replies

__all__ = [
    "Generation",
    "Replies",
    "WritingAdapter",
    "WritingScores",
    "evaluate_writing",
    "hold_out_replies",
    "load_writing_adapter",
    "read_replies",
    "train_writers",
    "write_replies",
]
