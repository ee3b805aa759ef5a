ARG BASE
FROM ${BASE} AS shell
HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=500ms --retries=7 CMD wget -q localhost || exit 1
FROM ${BASE} AS exec
HEALTHCHECK CMD ["true", "x"]
FROM exec AS none
HEALTHCHECK NONE
FROM shell
HEALTHCHECK --interval=0 cmd true
