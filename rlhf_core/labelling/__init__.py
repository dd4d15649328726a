"""People answer: a durable store of what they said, and the server of the page that asks them.

`store` keeps campaigns, questions, leases and answers in SQLite or PostgreSQL; `exchange` and
`answer_files` turn answers into `rlhf_core.answers.Answers` and into files; `quality` measures
annotators; `server` speaks HTTP.
"""
