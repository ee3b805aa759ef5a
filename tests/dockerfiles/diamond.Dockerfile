ARG BASE
FROM ${BASE} AS base
RUN echo base >/base
FROM base AS left
RUN echo left >/left
FROM base AS right
RUN echo right >/right
FROM ${BASE} AS unused
RUN exit 1
FROM base
COPY --from=left /left /
COPY --from=right /right /
