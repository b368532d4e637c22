"""The benchmark suite behind `clavilux bench`: what a step costs, beside what the machine could do at best.

Ceilings are measured first and in the same run; then ops, one layer, whole steps and end to end, beside plain torch and
transformers. A peer is timed only after it has been shown to compute the same.
"""
