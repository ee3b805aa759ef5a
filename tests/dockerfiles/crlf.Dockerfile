ARG BASE
FROM ${BASE}
RUN echo a >/a
CMD ["x"]
