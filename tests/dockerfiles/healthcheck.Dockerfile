ARG BASE
FROM ${BASE}
HEALTHCHECK --interval=5m --timeout=3s --start-period=10s --start-interval=1s --retries=4 CMD curl -f http://localhost/ || exit 1
