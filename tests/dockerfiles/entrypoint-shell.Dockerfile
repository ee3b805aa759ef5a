ARG BASE
FROM ${BASE}
ENTRYPOINT exec top -b
CMD ["ignored"]
