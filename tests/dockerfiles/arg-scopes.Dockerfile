ARG BASE
FROM ${BASE} AS a
ARG X=1
RUN echo "$X" >/x1
ENV X=env
RUN echo "$X" >/x2
ARG X=again
RUN echo "$X" >/x3
FROM ${BASE}
RUN echo "[$X]" >/x4
COPY --from=a /x1 /x2 /x3 /
