ARG BASE
FROM ${BASE}
CMD ["mine"]
ENTRYPOINT ["/entry"]
