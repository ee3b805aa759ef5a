ARG BASE
FROM ${BASE}
ADD --chmod=644 --chown=1:2 https://example.org/files/a%20b.txt?x=1 /in/
