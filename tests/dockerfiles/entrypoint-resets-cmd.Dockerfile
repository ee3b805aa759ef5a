ARG BASE
FROM ${BASE} AS a
CMD ["from", "base"]
FROM a
ENTRYPOINT ["/entry"]
