ARG BASE
FROM ${BASE} AS build
WORKDIR /src
COPY a .
RUN cat a >built
FROM ${BASE} AS test
RUN exit 1
FROM build AS debug
RUN echo debug >>built
FROM scratch AS bin
COPY --from=build /src/built /
FROM ${BASE}
COPY --from=bin /built /built
COPY --from=debug /src/built /debug
CMD ["cat", "/built"]
