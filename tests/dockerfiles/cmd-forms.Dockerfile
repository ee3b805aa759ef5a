ARG BASE
FROM ${BASE}
CMD echo first
CMD ["echo", "second"]
